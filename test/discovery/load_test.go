package discovery

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

// answer is what became of one request.
type answer struct {
	began, ended time.Time
	pod, cluster string
	err          error
}

// Of a Pod of the lab: "pod ip 10.128.0.2, pod ns/name, cluster global, node global-node-0".
var spoken = regexp.MustCompile(`pod (\S+), cluster (\S+), node`)

// clientIn sends every request on a connection of its own, from a place in the network that a proxy leads to.
func clientIn(proxy *url.URL) *http.Client {
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
}

func request(ctx context.Context, c *http.Client, address string) answer {
	a := answer{began: time.Now()}
	a.pod, a.cluster, a.err = who(ctx, c, address)
	a.ended = time.Now()
	return a
}

func who(ctx context.Context, c *http.Client, address string) (pod, cluster string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", "", err
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	said := spoken.FindSubmatch(body)
	if said == nil {
		return "", "", fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(said[1]), string(said[2]), nil
}

// requests sends n, one after the other.
func requests(t *testing.T, c *http.Client, address string, n int) []answer {
	t.Helper()
	answers := make([]answer, n)
	for i := range answers {
		answers[i] = request(t.Context(), c, address)
	}
	return answers
}

// count is how many answers came from where: by cluster, and the failures as "lost".
func count(answers []answer) map[string]int {
	counts := map[string]int{}
	for _, a := range answers {
		if a.err != nil {
			counts["lost"]++
		} else {
			counts[a.cluster]++
		}
	}
	return counts
}

func pods(answers []answer) []string {
	found := map[string]bool{}
	for _, a := range answers {
		if a.err == nil {
			found[a.cluster+"/"+a.pod] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// load is a stream of requests, from four clients that never rest.
type load struct {
	mu      sync.Mutex
	answers []answer
	stop    func() []answer
}

func loadOn(t *testing.T, c *http.Client, address string) *load {
	ctx, cancel := context.WithCancel(t.Context())
	var l load
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				a := request(ctx, c, address)
				if ctx.Err() != nil {
					return // it was broken off, not lost
				}
				l.mu.Lock()
				l.answers = append(l.answers, a)
				l.mu.Unlock()
			}
		})
	}
	l.stop = sync.OnceValue(func() []answer {
		cancel()
		clients.Wait()
		return l.answers
	})
	t.Cleanup(func() { l.stop() })
	return &l
}

// settled waits until so many answers in a row, of requests that began after this call, all came from one cluster.
func (l *load) settled(t *testing.T, cluster string, inARow int) {
	t.Helper()
	since := time.Now()
	for deadline := since.Add(patience); ; {
		l.mu.Lock()
		fresh := slices.DeleteFunc(slices.Clone(l.answers), func(a answer) bool { return a.began.Before(since) })
		l.mu.Unlock()
		last := fresh[max(0, len(fresh)-inARow):]
		if len(last) == inARow && count(last)[cluster] == inARow {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v the last answers are %v, want all from %s: %v", patience, count(last), cluster, problems(last))
		}
		<-time.After(20 * time.Millisecond)
	}
}

func problems(answers []answer) []error {
	var errs []error
	for _, a := range answers {
		if a.err != nil && len(errs) < 3 {
			errs = append(errs, a.err)
		}
	}
	return errs
}

// moved says when the first answer came from a cluster, and when the last failed, counted from a moment.
func moved(answers []answer, from time.Time, to string) string {
	first, lost := time.Duration(0), time.Duration(0)
	for _, a := range answers {
		if a.began.Before(from) {
			continue
		}
		if after := a.ended.Sub(from); a.err != nil {
			lost = max(lost, after)
		} else if a.cluster == to && (first == 0 || after < first) {
			first = after
		}
	}
	return fmt.Sprintf("first answer from %s after %v, last failure after %v, %v", to,
		first.Round(time.Millisecond), lost.Round(time.Millisecond), count(answers))
}
