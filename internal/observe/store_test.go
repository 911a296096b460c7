package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// seen is a store that keeps labels' "v", and what it has told.
type seen struct {
	*Store[string]
	t     *testing.T
	told  []string
	moves int
}

func newSeen(t *testing.T) *seen {
	s := &seen{t: t}
	s.Store = New(
		func(o metav1.Object) string { return o.GetLabels()["v"] },
		func(namespace, name string, existence bool) {
			word := "changed"
			if existence {
				word = "existence"
			}
			s.told = append(s.told, fmt.Sprintf("%s/%s %s", namespace, name, word))
		},
		func() { s.moves++ })
	return s
}

func object(name, rv, value string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: rv, Labels: map[string]string{"v": value}}}
}

// want asserts what is known of an object; empty means that it is not seen.
func (s *seen) want(name, value string) {
	s.t.Helper()
	if got, ok := s.Value("shop", name); got != value || ok != (value != "") {
		s.t.Errorf("%s is %q %t, want %q", name, got, ok, value)
	}
}

func (s *seen) wantTold(want ...string) {
	s.t.Helper()
	slices.Sort(s.told)
	if !slices.Equal(s.told, want) {
		s.t.Errorf("told %q, want %q", s.told, want)
	}
	s.told = nil
}

func (s *seen) replace(rv string, objects ...*metav1.PartialObjectMetadata) {
	s.t.Helper()
	list := make([]any, len(objects))
	for n, o := range objects {
		list[n] = o
	}
	if err := s.Replace(list, rv); err != nil {
		s.t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewestWins(t *testing.T) {
	s := newSeen(t)
	must(t, s.Add(object("web", "10", "ten")))
	s.wantTold("shop/web existence")
	s.Merge(object("web", "12", "twelve"))
	s.wantTold("shop/web changed")
	must(t, s.Update(object("web", "11", "eleven"))) // the watch lags behind the answer to the write
	s.want("web", "twelve")
	s.Merge(object("web", "9", "nine"))
	s.Merge(object("web", "12", "twelve again"))
	s.want("web", "twelve")
	s.wantTold()
	must(t, s.Update(object("web", "100", "hundred"))) // versions are numbers, not texts
	s.want("web", "hundred")
	s.wantTold("shop/web changed")
}

// TestVersionsThatCannotBeCompared are taken as they come.
func TestVersionsThatCannotBeCompared(t *testing.T) {
	s := newSeen(t)
	must(t, s.Add(object("web", "x", "one")))
	s.Merge(object("web", "a", "two"))
	s.want("web", "two")
}

// TestGoneStaysGone: what the watch saw vanish, a late answer to a write does not bring back; what is newer than the end does.
func TestGoneStaysGone(t *testing.T) {
	s := newSeen(t)
	must(t, s.Add(object("web", "10", "ten")))
	must(t, s.Delete(object("web", "12", "ten")))
	s.want("web", "")
	s.told = nil
	s.Merge(object("web", "11", "late"))
	s.Merge(object("web", "12", "late"))
	s.want("web", "")
	s.wantTold()
	s.Merge(object("web", "13", "made again"))
	s.want("web", "made again")
	s.wantTold("shop/web existence")
	must(t, s.Delete(object("web", "12", "ten"))) // the end of the one before
	s.want("web", "made again")
	s.wantTold()
}

// TestLost: what a read of the cluster showed to be gone goes, if it is still what was meant.
func TestLost(t *testing.T) {
	s := newSeen(t)
	must(t, s.Add(object("web", "10", "ten")))
	s.told = nil
	s.Lost("shop", "web", func(v string) bool { return v == "nine" })
	s.Lost("shop", "none", func(string) bool { return true })
	s.want("web", "ten")
	s.wantTold()
	s.Lost("shop", "web", func(v string) bool { return v == "ten" })
	s.want("web", "")
	s.wantTold("shop/web existence")
	s.Merge(object("web", "10", "late"))
	s.want("web", "")
	if n := s.Len(); n != 0 {
		t.Errorf("%d objects", n)
	}
}

// TestReplace: a full list tells of what came, what changed and what vanished since the last one, and only that.
func TestReplace(t *testing.T) {
	s := newSeen(t)
	if s.State().Synced {
		t.Fatal("synced before anything was listed")
	}
	s.replace("20", object("same", "10", "a"), object("moves", "11", "a"), object("goes", "12", "a"))
	s.wantTold("shop/goes existence", "shop/moves existence", "shop/same existence")
	if !s.State().Synced || s.moves != 1 {
		t.Errorf("%+v after %d moves", s.State(), s.moves)
	}
	s.Merge(object("made", "31", "newer than the list"))
	s.told = nil
	s.replace("30", object("same", "10", "a"), object("moves", "25", "b"), object("comes", "26", "b"))
	s.wantTold("shop/comes existence", "shop/goes existence", "shop/moves changed")
	s.want("made", "newer than the list")
	s.want("moves", "b")
	s.want("goes", "")
	s.Merge(object("goes", "29", "late"))
	s.want("goes", "")
	s.replace("40")
	if n := s.Len(); n != 0 {
		t.Errorf("%d objects after an empty list", n)
	}
}

// TestReplaceIsNotBehindAWrite: a list that began before a write does not undo what its answer told.
func TestReplaceIsNotBehindAWrite(t *testing.T) {
	s := newSeen(t)
	s.Merge(object("web", "12", "written"))
	s.replace("11", object("web", "10", "before"))
	s.want("web", "written")
}

// TestRollback: a cluster that went back in time, as after a restore, voids what was known, also what was newer.
func TestRollback(t *testing.T) {
	s := newSeen(t)
	s.replace("100", object("web", "90", "new"), object("new", "95", "new"))
	must(t, s.Delete(object("late", "99", "x")))
	s.replace("50", object("web", "40", "old"), object("late", "45", "old"))
	s.want("web", "old")
	s.want("late", "old")
	s.want("new", "")
	s.Merge(object("web", "41", "old and moving"))
	s.want("web", "old and moving")
	if s.moves != 2 {
		t.Errorf("moved %d times: what vanished is told by the move", s.moves)
	}
	s.replace("50", object("web", "40", "the same list again"))
	s.want("web", "old and moving")
}

func TestNames(t *testing.T) {
	s := newSeen(t)
	scoped := object("reader", "1", "x")
	scoped.Namespace = ""
	other := object("web", "1", "x")
	other.Namespace = "other"
	s.replace("2", object("web", "1", "x"), object("api", "1", "x"), other, scoped)
	names := func(namespace string) []string {
		var out []string
		s.Names(namespace, func(namespace, name string) {
			s.Len() // may be asked meanwhile
			out = append(out, namespace+"/"+name)
		})
		slices.Sort(out)
		return out
	}
	if got := names(""); !slices.Equal(got, []string{"/reader", "other/web", "shop/api", "shop/web"}) {
		t.Error(got)
	}
	if got := names("shop"); !slices.Equal(got, []string{"shop/api", "shop/web"}) {
		t.Error(got)
	}
	if s.Len() != 4 {
		t.Error(s.Len())
	}
	s.Forget()
	if got := names(""); len(got) != 0 || s.State().Synced {
		t.Error(got, s.State())
	}
}

// TestGoneIsBounded: the memory of what has vanished does not grow for ever.
func TestGoneIsBounded(t *testing.T) {
	s := newSeen(t)
	for n := range maxGone + 10 {
		name := fmt.Sprint(n)
		must(t, s.Add(object(name, "1", "x")))
		must(t, s.Delete(object(name, "2", "x")))
	}
	if len(s.gone) > maxGone || len(s.items) != 0 {
		t.Errorf("%d remembered, %d namespaces", len(s.gone), len(s.items))
	}
}

func TestWhatIsNoObject(t *testing.T) {
	s := newSeen(t)
	if s.Add("x") == nil || s.Update(3) == nil || s.Delete(nil) == nil || s.Replace([]any{"x"}, "1") == nil {
		t.Error("taken for an object")
	}
	if s.Resync() != nil || s.State().Synced {
		t.Error("a list of what is no object is no list")
	}
}

var resource = schema.GroupResource{Resource: "configmaps"}

// TestTrouble: what a failed list or watch means for what was seen. A new trouble is told, the same one again is not.
func TestTrouble(t *testing.T) {
	for name, tc := range map[string]struct {
		err    error
		synced bool
		told   bool
	}{
		"refused":       {errors.New("connection refused"), true, true},
		"server error":  {apierrors.NewInternalError(errors.New("x")), true, true},
		"type is gone":  {apierrors.NewNotFound(resource, ""), false, true},
		"forbidden":     {apierrors.NewForbidden(resource, "", errors.New("x")), false, true},
		"watch expired": {apierrors.NewResourceExpired("x"), true, false},
		"gone":          {apierrors.NewGone("x"), true, false}, //nolint:staticcheck // old API servers answer with it
		"none":          {nil, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSeen(t)
			s.replace("1", object("web", "1", "x"))
			s.note(t.Context(), tc.err)
			s.note(t.Context(), tc.err)
			if got := s.State(); got.Synced != tc.synced || (got.Err != nil) != tc.told || s.moves != map[bool]int{false: 1, true: 2}[tc.told] {
				t.Errorf("%+v after %d moves", got, s.moves)
			}
			s.want("web", "x") // what was seen is still the best that is known
			s.replace("2")
			if got := s.State(); !got.Synced || got.Err != nil {
				t.Errorf("healed, but %+v", got)
			}
		})
	}
	s := newSeen(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.note(ctx, errors.New("x"))
	if s.State().Err != nil || s.moves != 0 {
		t.Error("the end of a watch is no trouble")
	}
}

// TestRun lists, watches, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeen(t)
		w := watch.NewFake()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			s.Run(ctx, "test", &metav1.PartialObjectMetadata{}, Lister{
				List: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
					return &metav1.PartialObjectMetadataList{
						ListMeta: metav1.ListMeta{ResourceVersion: "5"}, Items: []metav1.PartialObjectMetadata{*object("web", "4", "four")},
					}, nil
				},
				Watch: func(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
					if o.SendInitialEvents != nil {
						return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil) // an API server that cannot stream lists
					}
					return w, nil
				},
			})
			close(ended)
		}()
		time.Sleep(time.Minute)
		if s.want("web", "four"); !s.State().Synced {
			t.Errorf("%+v", s.State())
		}
		w.Modify(object("web", "6", "six"))
		w.Add(object("api", "7", "seven"))
		w.Delete(object("api", "8", "seven"))
		synctest.Wait()
		s.want("web", "six")
		s.want("api", "")
		cancel()
		<-ended
	})
}

// TestStream: of a list that is streamed, each object is read as it comes, so that it need not be held until the list has ended; and
// nothing is known before that.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeen(t)
		parse, parsed := s.parse, 0
		s.parse = func(o metav1.Object) string {
			parsed++
			return parse(o)
		}
		w := watch.NewFake()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			s.Run(ctx, "test", &metav1.PartialObjectMetadata{}, Lister{
				List: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
					return nil, errors.New("the list is streamed")
				},
				Watch: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return w, nil },
			})
			close(ended)
		}()
		w.Add(object("web", "4", "four"))
		w.Add(object("api", "3", "three"))
		synctest.Wait()
		if s.want("web", ""); parsed != 2 || s.State().Synced {
			t.Errorf("%d objects have been read of a list that goes on: %+v", parsed, s.State())
		}
		end := object("", "5", "")
		end.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		w.Action(watch.Bookmark, end)
		synctest.Wait()
		s.want("web", "four")
		s.want("api", "three")
		if parsed != 2 || !s.State().Synced {
			t.Errorf("%d objects have been read, %+v", parsed, s.State())
		}
		s.wantTold("shop/api existence", "shop/web existence")
		w.Modify(object("web", "6", "six"))
		synctest.Wait()
		s.want("web", "six")
		cancel()
		<-ended
	})
}
