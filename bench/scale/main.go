// Command scale measures what more members cost: one real host, Hansa, and so many simulated members. Read how the figures grow: what is
// paid for each member, and for each copy, should be the same with a hundred and with a thousand.
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
	// Join is seconds until all members are ready; Ready is how many host writes that took for each.
	Join, JoinWrites float64
	// One is seconds until one object is in all members, Told until the host says so.
	One, OneTold float64
	// All is seconds until all objects are in all members, AllCPU the manager's CPU seconds for it, Writes and HostWrites those for each
	// copy and object.
	All, AllCPU, Writes, HostWrites float64
	// Idle is the manager's share of a core while nothing happens, Flap while a tenth of the members go and come every ten seconds.
	Idle, Flap float64
	// FlapWrites are host writes for each member that went or came.
	FlapWrites float64
	// RSS in MiB; KiB that are held for each member and each copy, garbage left out; goroutines and connections for each member.
	RSS, KiBMember, KiBCopy, Goroutines, Connections float64
	// Restart is seconds until a new process rests again, RestartWrites what it wrote.
	Restart, RestartWrites float64
}

func main() {
	members := flag.String("members", "10,100", "numbers of simulated members, each measured by itself")
	objects := flag.Int("n", 100, "objects that are placed in all members")
	file := flag.String("json", "", "write the results to this file as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *members, *objects, *file)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, members string, objects int, file string) error {
	var rows []row
	for text := range strings.SplitSeq(members, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of members", text)
		}
		r, err := measure(ctx, n, objects)
		if err != nil {
			return fmt.Errorf("%d members: %w", n, err)
		}
		rows = append(rows, r)
	}
	if err := table(rows); err != nil || file == "" {
		return err
	}
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644) //nolint:gosec // results are no secret
}

// table prints a line for each figure and a column for each number of members: how a figure grows is read from left to right.
func table(rows []row) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, line := range []struct {
		name string
		of   func(row) string
	}{
		{"members", func(r row) string { return strconv.Itoa(r.Members) }},
		{"objects", func(r row) string { return strconv.Itoa(r.Objects) }},
		{"all members ready, s", func(r row) string { return fmt.Sprintf("%.1f", r.Join) }},
		{"  host writes per member", func(r row) string { return fmt.Sprintf("%.2f", r.JoinWrites) }},
		{"one object in all members, s", func(r row) string { return fmt.Sprintf("%.2f", r.One) }},
		{"  and the host says so, s", func(r row) string { return fmt.Sprintf("%.2f", r.OneTold) }},
		{"all objects in all members, s", func(r row) string { return fmt.Sprintf("%.1f", r.All) }},
		{"  copies per second", func(r row) string { return fmt.Sprintf("%.0f", float64(r.Members*r.Objects)/r.All) }},
		{"  manager's CPU per copy, ms", func(r row) string { return fmt.Sprintf("%.2f", 1000*r.AllCPU/float64(r.Members*r.Objects)) }},
		{"  member writes per copy", func(r row) string { return fmt.Sprintf("%.2f", r.Writes) }},
		{"  host writes per object", func(r row) string { return fmt.Sprintf("%.2f", r.HostWrites) }},
		{"RSS, MiB", func(r row) string { return fmt.Sprintf("%.0f", r.RSS) }},
		{"  KiB held per member", func(r row) string { return fmt.Sprintf("%.0f", r.KiBMember) }},
		{"  KiB held per copy", func(r row) string { return fmt.Sprintf("%.1f", r.KiBCopy) }},
		{"goroutines per member", func(r row) string { return fmt.Sprintf("%.1f", r.Goroutines) }},
		{"connections per member", func(r row) string { return fmt.Sprintf("%.1f", r.Connections) }},
		{"idle, % of a core", func(r row) string { return fmt.Sprintf("%.1f", 100*r.Idle) }},
		{"a tenth flapping, % of a core", func(r row) string { return fmt.Sprintf("%.1f", 100*r.Flap) }},
		{"  host writes per change", func(r row) string { return fmt.Sprintf("%.2f", r.FlapWrites) }},
		{"restart, s", func(r row) string { return fmt.Sprintf("%.1f", r.Restart) }},
		{"  member writes", func(r row) string { return fmt.Sprintf("%.0f", r.RestartWrites) }},
	} {
		fmt.Fprintf(w, "%s\t", line.name)
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t", line.of(r))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
