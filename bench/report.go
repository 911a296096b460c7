package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// result is one row: one test, done one way.
type result struct {
	Kind, Test, Way string
	Objects         int
	// Seconds for all objects, or, one at a time, at the 50th and 99th percentile.
	Seconds, P50, P99 float64 `json:",omitempty"`
	// HostWrites, HostReads, MemberWrites and MemberReads are requests per object, the driver's own left out, reads without lists and watches.
	HostWrites, HostReads, MemberWrites, MemberReads float64
	// CPU seconds of the manager, and its resident memory in MiB afterwards.
	CPU, RSS float64 `json:",omitempty"`
	// Ratio to the yardstick: of rates to raw+host+status, or to raw where that has no such test; of latencies to raw.
	Ratio float64 `json:",omitempty"`
}

func (r result) key() string { return r.Kind + "/" + r.Test + "/" + r.Way }

// figures are all numbers of a row that differ from round to round.
func (r *result) figures() []*float64 {
	return []*float64{&r.Seconds, &r.P50, &r.P99, &r.HostWrites, &r.HostReads, &r.MemberWrites, &r.MemberReads, &r.CPU, &r.RSS}
}

// medians makes of the rows of all rounds one for each test and way, each figure the median of its own.
func medians(rounds [][]result) []result {
	var out []result
	for _, r := range rounds[0] {
		for n, at := range r.figures() {
			var all []float64
			for _, round := range rounds {
				for _, other := range round {
					if other.key() == r.key() {
						all = append(all, *other.figures()[n])
					}
				}
			}
			slices.Sort(all)
			*at = all[len(all)/2]
		}
		out = append(out, r)
	}
	return out
}

var order = []string{"create", "update", "repair", "delete", accepted, placed, known, "one repair", "idle", "restart", "healthy", "dead", "hung", "slow"}

// ratios sorts the rows and sets each beside its yardstick.
func ratios(rows []result) []result {
	slices.SortStableFunc(rows, func(a, b result) int {
		if c := strings.Compare(a.Kind, b.Kind); c != 0 {
			return c
		}
		return slices.Index(order, a.Test) - slices.Index(order, b.Test)
	})
	for i := range rows {
		if y := yardstick(rows, rows[i]); y != nil && rows[i].P50 > 0 {
			rows[i].Ratio = rows[i].P50 / y.P50
		} else if y != nil {
			rows[i].Ratio = (float64(rows[i].Objects) / rows[i].Seconds) / (float64(y.Objects) / y.Seconds)
		}
	}
	return rows
}

// yardstick is the row to compare with; nil for none.
func yardstick(rows []result, r result) *result {
	find := func(test, way string) *result {
		n := slices.IndexFunc(rows, func(o result) bool { return o.Kind == r.Kind && o.Test == test && o.Way == way })
		if n < 0 {
			return nil
		}
		return &rows[n]
	}
	switch r.Test {
	case "create", "update":
		if r.Way != least {
			return find(r.Test, least)
		}
	case "dead", "hung", "slow":
		return find("healthy", r.Way)
	case accepted, known:
		if r.Way != least {
			return find(r.Test, least)
		}
	case "repair", "delete", placed, "one repair":
		if r.Way != raw {
			return find(r.Test, raw)
		}
	}
	return nil
}

// table prints the rows for people.
func table(to io.Writer, rows []result) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kind\ttest\tway\tobjects/s\tratio\tp50 ms\tp99 ms\thost writes\thost reads\tmember writes\tmember reads\tCPU ms/object\tRSS MiB\t")
	for _, r := range rows {
		rate, cpu := "-", number(r.CPU*1000/float64(max(r.Objects, 1)), "%.2f")
		switch {
		case r.Test == "idle":
			cpu = fmt.Sprintf("%.1f %% of a core", 100*r.CPU/r.Seconds)
		case r.Test == "restart":
			rate = fmt.Sprintf("in %.1f s", r.Seconds)
		case r.Seconds > 0:
			rate = fmt.Sprintf("%.0f", float64(r.Objects)/r.Seconds)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%s\t\n", r.Kind, r.Test, r.Way, rate, number(r.Ratio, "%.2f"),
			number(r.P50*1000, "%.1f"), number(r.P99*1000, "%.1f"), r.HostWrites, r.HostReads, r.MemberWrites, r.MemberReads, cpu, number(r.RSS, "%.0f"))
	}
	return w.Flush()
}

func number(v float64, format string) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

// record writes the rows, and what they were measured with, as JSON.
func record(file string, o options, rows []result) error {
	data, err := json.MarshalIndent(struct {
		Cores          int
		Go             string
		Members        int
		Rounds         int
		DriverRequests int
		Results        []result
	}{runtime.NumCPU(), runtime.Version(), o.members, o.rounds, o.workers, rows}, "", "  ")
	if err != nil {
		return err
	}
	return save(file, append(data, '\n'))
}
