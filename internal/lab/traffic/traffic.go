// Package traffic sends requests to Pods of the lab that answer, and counts: which of them answered, and what was lost.
package traffic

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Answer is what became of one request.
type Answer struct {
	Began, Ended time.Time
	Pod, Cluster string // who answered
	Err          error  // or why nobody did
}

// Client sends every request on a connection of its own and gives up after two seconds. With a proxy, which may be nil, it sends them from
// a place in the lab's networks; see Lab.Proxy.
func Client(proxy *url.URL) *http.Client {
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
}

// spoken is what a Pod of the lab says: "pod ip 10.128.0.2, pod ns/name, cluster global, node global-node-0".
var spoken = regexp.MustCompile(`pod (\S+), cluster (\S+), node`)

// Ask sends one request.
func Ask(ctx context.Context, c *http.Client, address string) Answer {
	a := Answer{Began: time.Now()}
	a.Pod, a.Cluster, a.Err = who(ctx, c, address)
	a.Ended = time.Now()
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

// AskTimes sends n requests, one after the other.
func AskTimes(ctx context.Context, c *http.Client, address string, n int) Answers {
	answers := make(Answers, n)
	for i := range answers {
		answers[i] = Ask(ctx, c, address)
	}
	return answers
}

// Answers are those to many requests.
type Answers []Answer

// Lost is the key of Count for requests that were not answered.
const Lost = "lost"

// Count is how many answers came from each cluster, and how many from nobody.
func (all Answers) Count() map[string]int {
	counts := map[string]int{}
	for _, a := range all {
		if a.Err != nil {
			counts[Lost]++
		} else {
			counts[a.Cluster]++
		}
	}
	return counts
}

// Pods is how many of each cluster's Pods have answered.
func (all Answers) Pods() map[string]int {
	seen, counts := map[string]bool{}, map[string]int{}
	for _, a := range all {
		if a.Err == nil && !seen[a.Cluster+"/"+a.Pod] {
			seen[a.Cluster+"/"+a.Pod] = true
			counts[a.Cluster]++
		}
	}
	return counts
}

// Problems are why requests were lost, each once.
func (all Answers) Problems() string {
	problems := map[string]bool{}
	for _, a := range all {
		if a.Err != nil {
			problems[a.Err.Error()] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(problems)), "; ")
}

// Since are the answers to requests that were sent after a moment.
func (all Answers) Since(moment time.Time) Answers {
	return slices.DeleteFunc(slices.Clone(all), func(a Answer) bool { return a.Began.Before(moment) })
}

// Move is how traffic went from one cluster to another.
type Move struct {
	First time.Duration // from the moment on until the first answer came from there
	Last  time.Duration // until the last request was lost; 0 if none was
	Lost  int
}

// Moved says how traffic went to a cluster after a moment.
func (all Answers) Moved(moment time.Time, to string) Move {
	var m Move
	for _, a := range all.Since(moment) {
		after := a.Ended.Sub(moment)
		switch {
		case a.Err != nil:
			m.Lost++
			m.Last = max(m.Last, after)
		case a.Cluster == to && (m.First == 0 || after < m.First):
			m.First = after
		}
	}
	return m
}

// Load is a stream of requests from some clients, each of which sends the next when it has the answer to the last.
type Load struct {
	end func()

	mu      sync.Mutex
	answers Answers
}

// Start sends requests until Stop is called or the context ends. Each client pauses between two requests.
func Start(ctx context.Context, clients int, pause time.Duration, c *http.Client, address string) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				l.add(ctx, Ask(ctx, c, address))
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	l.end = func() { cancel(); all.Wait() }
	return l
}

// add leaves out a request that was broken off, as that one was not lost.
func (l *Load) add(ctx context.Context, a Answer) {
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
}

// Answers are those so far.
func (l *Load) Answers() Answers {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.answers)
}

// Stop ends it.
func (l *Load) Stop() Answers {
	l.end()
	return l.Answers()
}

// Settled waits until so many answers in a row, all to requests that are sent from now on, came from one cluster.
func (l *Load) Settled(ctx context.Context, cluster string, inARow int) error {
	began := time.Now()
	for {
		fresh := l.Answers().Since(began)
		last := fresh[max(0, len(fresh)-inARow):]
		if last.Count()[cluster] == inARow {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("requests do not all go to %s: the last of %d went %v: %s", cluster, len(fresh), last.Count(), last.Problems())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
