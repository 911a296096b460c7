package rfc2136

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/hansa-io/hansa/internal/discovery/plan/zone"
)

// Zone is what is to be published, and how.
type Zone struct {
	Server  Server
	Options zone.Options
	// Sources are all DNSEndpoints, and Others the zones that are served beside this one.
	Sources []zone.Source
	Others  []string
}

// Outcome is what came of publishing.
type Outcome struct {
	// Fault is why nothing, or not all, was done; nil if it was.
	Fault *Fault
	// Refused are names that are not published, sorted.
	Refused []zone.Refusal
	// Paused are the names whose deletion waits for an approval.
	Paused []string
	// Owned is the number of record sets that are ours; nil if it is not known.
	Owned *int
	// Changed is the number of names that were written, Deleted of those that were deleted.
	Changed, Deleted int
	// Serial of the zone as it was read, before what was changed; only if nothing was.
	Serial uint32
}

// done says that all was done that can be: trying again soon would not help.
func (o Outcome) done() bool {
	return o.Fault == nil || o.Fault.Reason == NamesRefused || o.Fault.Reason == DeletionPaused
}

// Publish makes a zone hold what it should. It reads all of it first: nothing is written to what is not known. Where somebody else writes at
// the same time it looks again.
func Publish(ctx context.Context, z Zone) Outcome {
	const most = 3
	var out Outcome
	for range most {
		before := out
		out = once(ctx, z)
		out.Changed, out.Deleted = out.Changed+before.Changed, out.Deleted+before.Deleted
		z.Options.Deleted += out.Deleted - before.Deleted
		if !slices.ContainsFunc(out.Refused, func(r zone.Refusal) bool { return r.Reason == ZoneChanged }) {
			break
		}
	}
	return out
}

func once(ctx context.Context, z Zone) Outcome {
	if _, err := z.Server.Serial(ctx); err != nil { // it tells what is wrong better than a transfer
		return Outcome{Fault: faultOf(err)}
	}
	current, serial, err := z.Server.Transfer(ctx)
	if err != nil {
		return Outcome{Fault: faultOf(err)}
	}
	desired, refused := zone.Desired(z.Sources, z.Options, z.Others)
	p := zone.Diff(current, desired, z.Options)
	out := Outcome{Refused: append(refused, p.Refused...), Paused: p.Paused, Owned: &p.Owned, Serial: serial}
	left, err := z.Server.Update(ctx, p.Steps)
	out.Changed = len(p.Steps) - len(left)
	for _, name := range p.Deleted {
		if left[name] == nil {
			out.Deleted++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		fault := faultOf(left[name])
		out.Refused = append(out.Refused, zone.Refusal{Name: name, Reason: fault.Reason, Message: fault.Message})
	}
	slices.SortStableFunc(out.Refused, func(a, b zone.Refusal) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Reason, b.Reason))
	})
	switch {
	case err != nil:
		out.Fault, out.Owned = faultOf(err), nil
	case len(left) > 0 && len(left) == len(p.Steps):
		out.Fault = faultOf(left[out.Refused[slices.IndexFunc(out.Refused, func(r zone.Refusal) bool { return left[r.Name] != nil })].Name])
		out.Owned = nil
	case len(out.Refused)+len(out.Paused) > 0:
		out.Fault = reservations(out)
	}
	return out
}

// reservations say what was left out of what else was done.
func reservations(out Outcome) *Fault {
	f := &Fault{Reason: DeletionPaused, Stalls: len(out.Paused) > 0 || !all(out.Refused, ZoneChanged)}
	var texts []string
	if len(out.Refused) > 0 {
		f.Reason = NamesRefused
		texts = append(texts, "names are not published: "+words(out.Refused))
	}
	if len(out.Paused) > 0 {
		texts = append(texts, fmt.Sprintf("more than half of the names here would be deleted, among them %s: annotate the DNSProvider with %s to approve of it", few(out.Paused), approval))
	}
	f.Message = strings.Join(texts, "; ")
	return f
}

func all(list []zone.Refusal, reason string) bool {
	return !slices.ContainsFunc(list, func(r zone.Refusal) bool { return r.Reason != reason })
}

// words are the first refusals.
func words(list []zone.Refusal) string {
	lines := make([]string, len(list))
	for i, r := range list {
		lines[i] = r.Name + ": " + r.Message
	}
	return few(lines)
}

// few are the first of some words.
func few(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, "; ")
	}
	return strings.Join(list[:most], "; ") + "; and more"
}

func faultOf(err error) *Fault {
	if fault, ok := err.(*Fault); ok { //nolint:errorlint // it is never wrapped
		return fault
	}
	return &Fault{Reason: ServerFailed, Message: err.Error()}
}

// Address adds the port of DNS to a server that has none.
func Address(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), "53")
}
