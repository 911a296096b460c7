// Package process answers: what does a process use, and what do its profiles say?
package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
)

// Usage is the CPU time of a process in seconds and its resident memory in KiB, from /proc; zero where it has ended.
func Usage(pid int) (cpu, rss float64) {
	dir := path.Join("/proc", strconv.Itoa(pid))
	if stat, err := os.ReadFile(path.Join(dir, "stat")); err == nil {
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		user, _ := strconv.ParseFloat(string(fields[11]), 64)
		system, _ := strconv.ParseFloat(string(fields[12]), 64)
		cpu = (user + system) / 100
	}
	if status, err := os.ReadFile(path.Join(dir, "status")); err == nil {
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				rss, _ = strconv.ParseFloat(strings.Fields(rest)[0], 64)
			}
		}
	}
	return cpu, rss
}

// FreeAddress is one on loopback that nobody listens at.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Profile reads one of the profiles at an address, with its parameters, such as "heap?gc=1".
func Profile(ctx context.Context, address, what string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/debug/pprof/"+what, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", what, err)
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
