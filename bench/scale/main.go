// Command scale measures what more members cost, and what more managers bring: one real host, Hansa, and so many simulated members. Read
// how the figures grow: what is paid for each member, and for each copy, should be the same with a hundred and with a thousand.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
)

// row is what was measured with so many members.
type row struct {
	Members, Objects int
	// Join is seconds until all members are ready; JoinWrites is how many host writes that took for each, JoinCPU how many CPU seconds.
	Join, JoinWrites, JoinCPU float64
	// One is seconds until one object is in all members, OneTold until the host says so, OneCPU the manager's CPU seconds for each copy.
	One, OneTold, OneCPU float64
	// All is seconds until all objects are in all members, AllCPU and MembersCPU the CPU seconds for each copy, of the manager and of the
	// process that simulates the members.
	All, AllCPU, MembersCPU float64
	// Writes are those to members for each copy, Twice the copies that were written more than once.
	Writes float64
	Twice  int
	// HostWrites and HostCPU, in seconds, are for each object.
	HostWrites, HostCPU float64
	// Idle is the manager's share of a core while nothing happens, Flap while a tenth of the members go and come.
	Idle, Flap float64
	// FlapChanges says how often a member ceased to be ready, or became so; FlapCPU and FlapWrites are CPU seconds and host writes for each,
	// FlapCopies the writes to members in all.
	FlapChanges         int
	FlapCPU, FlapWrites float64
	FlapCopies          int
	// RSS in MiB; KiB that are held for each member and each copy, garbage left out; goroutines and connections for each member.
	RSS, KiBMember, KiBCopy, Goroutines, Connections float64
	// Restart is seconds until a new process rests again, RestartCPU how many of the CPU, RestartWrites and RestartHostWrites what it wrote.
	Restart, RestartCPU, RestartWrites, RestartHostWrites float64
}

func main() {
	members := flag.String("members", "10,100", "numbers of simulated members, each measured by itself")
	shards := flag.String("shards", "", "numbers of managers that share the members, such as 1,2,4: these are measured instead, with the first number of members")
	objects := flag.Int("n", 100, "objects that are placed in all members")
	profiles := flag.String("profiles", "", "write profiles of the manager's CPU and allocations into this folder")
	file := flag.String("json", "", "write the results to this file as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *members, *shards, *objects, *profiles, *file)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, members, shards string, objects int, profiles, file string) error {
	sizes, err := numbers(members)
	if err != nil {
		return fmt.Errorf("members: %w", err)
	}
	if shards != "" {
		managers, err := numbers(shards)
		if err != nil {
			return fmt.Errorf("shards: %w", err)
		}
		return tell(ctx, managers, file, sharedLines, func(n int) (sharedRow, error) { return share(ctx, sizes[0], n, objects) })
	}
	return tell(ctx, sizes, file, lines, func(n int) (row, error) { return measure(ctx, n, objects, profiles) })
}

func numbers(list string) (out []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of them", text)
		}
		out = append(out, n)
	}
	return out, nil
}

// tell measures with each number, prints a table and writes a file, if one is wanted.
func tell[R any](ctx context.Context, each []int, file string, lines []line[R], measure func(int) (R, error)) error {
	var rows []R
	for _, n := range each {
		r, err := measure(n)
		if err != nil {
			return fmt.Errorf("%d: %w", n, err)
		}
		rows = append(rows, r)
		if err := table(rows, lines); err != nil {
			return err
		}
	}
	if file == "" {
		return ctx.Err()
	}
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644) //nolint:gosec // results are no secret
}

// line is one figure.
type line[R any] struct {
	name string
	of   func(R) string
}

func whole(n int) string             { return strconv.Itoa(n) }
func fixed(v float64, d int) string  { return strconv.FormatFloat(v, 'f', d, 64) }
func millis(s float64, d int) string { return fixed(1000*s, d) }

var lines = []line[row]{
	{"members", func(r row) string { return whole(r.Members) }},
	{"objects", func(r row) string { return whole(r.Objects) }},
	{"all members ready, s", func(r row) string { return fixed(r.Join, 1) }},
	{"  host writes per member", func(r row) string { return fixed(r.JoinWrites, 2) }},
	{"  manager's CPU per member, ms", func(r row) string { return millis(r.JoinCPU, 0) }},
	{"one object in all members, s", func(r row) string { return fixed(r.One, 2) }},
	{"  and the host says so, s", func(r row) string { return fixed(r.OneTold, 2) }},
	{"  manager's CPU per copy, ms", func(r row) string { return millis(r.OneCPU, 2) }},
	{"all objects in all members, s", func(r row) string { return fixed(r.All, 1) }},
	{"  copies per second", func(r row) string { return fixed(float64(r.Members*(r.Objects-1))/r.All, 0) }},
	{"  manager's CPU per copy, ms", func(r row) string { return millis(r.AllCPU, 2) }},
	{"  members' CPU per copy, ms", func(r row) string { return millis(r.MembersCPU, 2) }},
	{"  member writes per copy", func(r row) string { return fixed(r.Writes, 2) }},
	{"  copies written more than once", func(r row) string { return whole(r.Twice) }},
	{"  host writes per object", func(r row) string { return fixed(r.HostWrites, 2) }},
	{"  host's CPU per object, ms", func(r row) string { return millis(r.HostCPU, 0) }},
	{"RSS, MiB", func(r row) string { return fixed(r.RSS, 0) }},
	{"  KiB held per member", func(r row) string { return fixed(r.KiBMember, 0) }},
	{"  KiB held per copy", func(r row) string { return fixed(r.KiBCopy, 1) }},
	{"goroutines per member", func(r row) string { return fixed(r.Goroutines, 1) }},
	{"connections per member", func(r row) string { return fixed(r.Connections, 1) }},
	{"idle, % of a core", func(r row) string { return fixed(100*r.Idle, 1) }},
	{"a tenth flapping, % of a core", func(r row) string { return fixed(100*r.Flap, 1) }},
	{"  changes of readiness", func(r row) string { return whole(r.FlapChanges) }},
	{"  manager's CPU per change, ms", func(r row) string { return millis(r.FlapCPU, 1) }},
	{"  host writes per change", func(r row) string { return fixed(r.FlapWrites, 2) }},
	{"  member writes", func(r row) string { return whole(r.FlapCopies) }},
	{"restart, s", func(r row) string { return fixed(r.Restart, 1) }},
	{"  manager's CPU, s", func(r row) string { return fixed(r.RestartCPU, 1) }},
	{"  member writes", func(r row) string { return fixed(r.RestartWrites, 0) }},
	{"  host writes", func(r row) string { return fixed(r.RestartHostWrites, 0) }},
}

// table prints a line for each figure and a column for each number: how a figure grows is read from left to right.
func table[R any](rows []R, lines []line[R]) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t", l.name)
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t", l.of(r))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
