package main

import "time"

// The stages of an object that is created alone, and by which names they are in the table.
const (
	accepted = "one accepted" // the host has answered the user
	placed   = "one create"   // all members have it
	known    = "one told"     // the host's status says so
)

// stages times how far objects have come, one after another.
type stages struct {
	k     kind
	way   string
	n     int
	start time.Time
	times map[string][]float64
}

func newStages(k kind, way string, n int) *stages {
	return &stages{k: k, way: way, n: n, times: map[string][]float64{}}
}

func (s *stages) begin() { s.start = time.Now() }

func (s *stages) reached(stage string) {
	s.times[stage] = append(s.times[stage], time.Since(s.start).Seconds())
}

// rows are one for each stage.
func (s *stages) rows() []result {
	var out []result
	for _, stage := range []string{accepted, placed, known} {
		r := result{Kind: s.k.name, Test: stage, Way: s.way, Objects: s.n}
		r.P50, r.P99 = percentiles(s.times[stage])
		out = append(out, r)
	}
	return out
}
