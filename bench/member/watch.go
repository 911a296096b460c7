package member

import (
	"encoding/json"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// watch tells of every change until the client leaves or the member is away.
func (q request) watch(w http.ResponseWriter) {
	wanted, err := q.selects()
	if err != nil {
		fail(w, err)
		return
	}
	stream := &stream{request: q, to: json.NewEncoder(w), flush: http.NewResponseController(w).Flush}
	w.Header().Set("Content-Type", "application/json")
	version, err := stream.begin(wanted)
	if err != nil {
		return
	}
	for {
		events, news, kept := q.cluster.since(q.resource, version)
		if !kept {
			_ = stream.send(watch.Error, expired())
			return
		}
		for _, e := range events {
			if stream.tell(e, wanted) != nil {
				return
			}
			version = e.version
		}
		if stream.flush() != nil {
			return
		}
		select {
		case <-q.Context().Done():
			return
		case <-news:
		}
		if q.cluster.isAway() {
			return
		}
	}
}

func expired() metav1.Status {
	s := apierrors.NewResourceExpired("the events since then are not kept").Status()
	s.APIVersion, s.Kind = "v1", "Status"
	return s
}

type stream struct {
	request
	to    *json.Encoder
	flush func() error
}

// begin tells what there is, if the client asks for that, and returns the version to go on from.
func (s *stream) begin(wanted func(*unstructured.Unstructured) bool) (int64, error) {
	query := s.URL.Query()
	version, _ := strconv.ParseInt(query.Get("resourceVersion"), 10, 64) // none is the oldest
	initial := query.Get("sendInitialEvents") == "true"
	if version > 0 && !initial {
		return version, nil
	}
	s.cluster.mu.Lock()
	all, now := s.cluster.list(s.resource, s.Namespace, wanted)
	s.cluster.mu.Unlock()
	for _, o := range all {
		if err := s.send(watch.Added, s.shown(o)); err != nil {
			return 0, err
		}
	}
	if !initial {
		return now, nil
	}
	mark := &unstructured.Unstructured{Object: map[string]any{}}
	mark.SetGroupVersionKind(s.gvk())
	mark.SetResourceVersion(strconv.FormatInt(now, 10))
	mark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return now, s.send(watch.Bookmark, s.shown(mark))
}

// tell sends what an event is to somebody who sees only what is wanted.
func (s *stream) tell(e event, wanted func(*unstructured.Unstructured) bool) error {
	before, after := wanted(e.before), wanted(e.after)
	switch {
	case after && before:
		return s.send(watch.Modified, s.shown(e.after))
	case after:
		return s.send(watch.Added, s.shown(e.after))
	case before:
		gone := e.before
		if e.after != nil {
			gone = e.after // it is there, but not wanted any more
		}
		return s.send(watch.Deleted, s.shown(gone))
	default:
		return nil
	}
}

func (s *stream) send(t watch.EventType, object any) error {
	return s.to.Encode(map[string]any{"type": t, "object": object})
}
