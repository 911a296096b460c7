package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// probe says why something is not ready yet, or nil.
type probe func(context.Context) error

// await polls until probe succeeds. It gives up when ctx ends or when one of the components has ended, and then shows
// the end of the log of the one to blame: the one that ended, else the last, whose turn it is.
func (s *supervisor) await(ctx context.Context, c cluster, components []string, what string, ready probe) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		last := ready(attempt)
		cancel()
		if last == nil {
			return nil
		}
		if component, err := s.endedOf(c, components); component != "" {
			return fmt.Errorf("%s ended while waiting for %s: %w%s", component, what, err, s.endOfLog(c, component))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %w)%s", what, ctx.Err(), last, s.endOfLog(c, components[len(components)-1]))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// endedOf names the first of the components that has ended, and says how.
func (s *supervisor) endedOf(c cluster, components []string) (string, error) {
	all := s.processes(c.Name)
	for _, component := range components {
		if p := all[component]; p != nil && p.hasEnded() {
			if p.err == nil {
				return component, errors.New("exit status 0")
			}
			return component, p.err
		}
	}
	return "", nil
}

func (s *supervisor) endOfLog(c cluster, component string) string {
	path := s.dir.cluster(c.Name).log(component)
	return fmt.Sprintf("\n--- end of %s\n%s", path, tail(path, 25))
}

// tail returns the last lines of a file, or why it cannot.
func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

func etcdHealth(c cluster) probe {
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.etcdURL()+"/health", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("etcd says %s", resp.Status)
		}
		return nil
	}
}

func (s *supervisor) apiHealth(c cluster) probe {
	return func(ctx context.Context) error {
		client, err := kubernetes.NewForConfig(s.dir.adminConfig(c))
		if err != nil {
			return err
		}
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}
}

// awaitReady waits for what users take for granted in a cluster: the `default` ServiceAccounts, without which no Pod
// can be made, and, if it has nodes, that Pods can be put on them.
//
// In a cluster that ran before, the ServiceAccounts are there from then. Unless it wasWhole, one that nobody uses is
// removed, so that its return shows that the controllers work again; they may be slow to find the API server.
func (s *supervisor) awaitReady(ctx context.Context, c cluster, wasWhole bool) error {
	client, err := kubernetes.NewForConfig(s.dir.adminConfig(c))
	if err != nil {
		return err
	}
	if !wasWhole {
		err := client.CoreV1().ServiceAccounts(metav1.NamespacePublic).Delete(ctx, "default", metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove the default ServiceAccount of %s: %w", metav1.NamespacePublic, err)
		}
	}
	err = s.await(ctx, c, []string{etcd, kubeAPIServer, kubeControllerManager}, "the default ServiceAccounts", accountsExist(client))
	if err != nil || c.nodeCount() == 0 {
		return err
	}
	if err := createNodes(ctx, client, c); err != nil {
		return err
	}
	if c.DNS != "" {
		if err := createDNS(ctx, client, c); err != nil {
			return err
		}
	}
	return s.await(ctx, c, c.components(), "the nodes to be ready", nodesReady(client, c))
}

func accountsExist(client kubernetes.Interface) probe {
	return func(ctx context.Context) error {
		for _, namespace := range []string{metav1.NamespaceDefault, metav1.NamespacePublic} {
			if _, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
}
