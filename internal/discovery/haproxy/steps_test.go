package haproxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

const serversState = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
3 web.http 2 10.1.0.1:80 10.1.0.1 2 0 256 256 0 1 0 1 6 0 0 0 - 80 - 0 0 - - 0
3 web.http 3 10.1.0.2:80-backup 10.1.0.2 0 1 77 256 0 1 0 0 2 0 0 0 - 80 - 0 0 - - 0
3 web.http 4 fd00::1:80 fd00::1 0 8 25 25 0 1 0 0 6 0 0 0 - 80 - 0 0 - - 0
4 db.tcp 1 lb.example.com:80 - 0 32 1 1 1 1 0 0 14 0 0 0 lb.example.com 80 - 0 0 - - 0
`

func TestRead(t *testing.T) {
	got, err := haproxy.Read("HANSA_TOPOLOGY=c32257ccee2b89e8\n", "# name\nweb.http\nweb.http.far\ndb.tcp\n", serversState)
	if err != nil {
		t.Fatal(err)
	}
	want := haproxy.State{Topology: "c32257ccee2b89e8", Backends: map[string]map[string]haproxy.Server{
		"web.http.far": {},
		"web.http": {
			"10.1.0.1:80":        {At: "10.1.0.1:80", Weight: 256, Ready: true, Checked: true},
			"10.1.0.2:80-backup": {At: "10.1.0.2:80", Weight: 77, Maintenance: true},
			"fd00::1:80":         {At: "[fd00::1]:80", Weight: 25, Checked: true},
		},
		"db.tcp": {"lb.example.com:80": {Weight: 1, Ready: true, Maintenance: true, Checked: true}},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReadRefuses(t *testing.T) {
	for what, servers := range map[string]string{
		"another version": strings.Replace(serversState, "1\n", "2\n", 1),
		"a short line":    "1\n3 web.http 2 10.1.0.1:80 10.1.0.1 2 0 256\n",
		"no number":       strings.Replace(serversState, "2 0 256 256", "2 x 256 256", 1),
	} {
		if _, err := haproxy.Read("", "", servers); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// Whatever runs, the steps lead to what is wanted; on the way there is always a server that can be used if there was one and will be one.
func TestStepsLead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := configs().Draw(t, "from"), configs().Draw(t, "to")
		m := fresh(from)
		for _, command := range haproxy.Steps(m.state(), to) {
			m.do(t, command)
		}
		if left := haproxy.Steps(m.state(), to); len(left) > 0 {
			t.Fatalf("after all steps there are more: %q", left)
		}
		if d := cmp.Diff(fresh(to).state().Backends, m.state().Backends); d != "" {
			t.Fatalf("the steps lead elsewhere: %s", d)
		}
		disturbed := disturb(t, m.state())
		m.backends = disturbed.Backends
		for _, command := range haproxy.Steps(disturbed, to) {
			m.do(t, command)
		}
		if left := haproxy.Steps(m.state(), to); len(left) > 0 {
			t.Fatalf("what somebody else has changed stays: %q", left)
		}
	})
}

func TestStepsKeepServing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := configs().Draw(t, "from"), configs().Draw(t, "to")
		m, end := fresh(from), fresh(to)
		for _, command := range haproxy.Steps(m.state(), to) {
			before := fresh(from)
			m.do(t, command)
			for name := range m.backends {
				if before.usable(name) && end.usable(name) && !m.usable(name) {
					t.Fatalf("nothing in %s can be used after %q", name, command)
				}
			}
		}
	})
}

func TestTopologyIsNotEndpoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := configs().Draw(t, "a"), configs().Draw(t, "b")
		if a.Topology() != b.Topology() {
			t.Fatal("another endpoint is another topology: that would be a reload")
		}
		if d := cmp.Diff(b.File(haproxy.Files{}), b.Refresh(a.File(haproxy.Files{}))); d != "" {
			t.Fatalf("Refresh does not bring the endpoints: %s", d)
		}
		more := b
		more.Listeners = append(slices.Clone(b.Listeners), haproxy.Listener{Name: "one/more", Port: 81, Mode: haproxy.TCP, Targets: []haproxy.Target{{Service: "t", Weight: 1}}})
		if more.Topology() == a.Topology() {
			t.Fatal("one more listener is no other topology: it would never come")
		}
		if d := cmp.Diff(b.File(haproxy.Files{}), more.Refresh(a.File(haproxy.Files{}))); d != "" {
			t.Fatalf("Refresh brings more than endpoints: %s", d)
		}
	})
}

// What HAProxy resolves is topology.
func TestRefreshKeepsNames(t *testing.T) {
	named := func(host string, others ...string) haproxy.Config {
		p := haproxy.Place{Endpoints: []haproxy.Endpoint{{Address: host, Port: 80, Usable: true, Named: true}}}
		for _, a := range others {
			p.Endpoints = append(p.Endpoints, haproxy.Endpoint{Address: a, Port: 80, Usable: true})
		}
		return haproxy.Config{
			Listeners: []haproxy.Listener{{Name: "l", Port: 80, Mode: haproxy.TCP, Targets: []haproxy.Target{{Service: "s", Weight: 1}}}},
			Services:  []haproxy.Service{{Name: "s", Levels: [][]haproxy.Place{{p}}}},
		}
	}
	old, wanted := named("a.example.com", "10.0.0.1"), named("b.example.com", "10.0.0.2")
	if old.Topology() == wanted.Topology() {
		t.Error("another host name is no other topology: it would never come")
	}
	if d := cmp.Diff(named("a.example.com", "10.0.0.2").File(haproxy.Files{}), wanted.Refresh(old.File(haproxy.Files{}))); d != "" {
		t.Error(d)
	}
}

// configs have the same listener and service, and any endpoints.
func configs() *rapid.Generator[haproxy.Config] {
	endpoint := rapid.Custom(func(t *rapid.T) haproxy.Endpoint {
		return haproxy.Endpoint{
			Address: fmt.Sprintf("10.0.0.%d", rapid.IntRange(1, 6).Draw(t, "address")), Port: 80,
			Weight: rapid.Uint32Range(0, 3).Draw(t, "weight"), Usable: rapid.Bool().Draw(t, "usable"),
		}
	})
	place := rapid.Custom(func(t *rapid.T) haproxy.Place {
		return haproxy.Place{Weight: rapid.Uint32Range(0, 200).Draw(t, "weight"), Endpoints: rapid.SliceOfN(endpoint, 0, 4).Draw(t, "endpoints")}
	})
	return rapid.Custom(func(t *rapid.T) haproxy.Config {
		return haproxy.Config{
			Listeners: []haproxy.Listener{{Name: "l", Port: 80, Mode: haproxy.TCP, Targets: []haproxy.Target{{Service: "s", Weight: 1}}}},
			Services:  []haproxy.Service{{Name: "s", Levels: rapid.SliceOfN(rapid.SliceOfN(place, 0, 2), 0, 5).Draw(t, "levels")}},
		}
	})
}

// model is an HAProxy that knows the commands as HAProxy 2.6 does.
type model struct {
	backends map[string]map[string]haproxy.Server
}

// fresh is HAProxy as it starts with a file.
func fresh(c haproxy.Config) *model {
	m := &model{backends: map[string]map[string]haproxy.Server{}}
	backend := ""
	for line := range strings.Lines(c.File(haproxy.Files{})) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "backend":
			backend = f[1]
			m.backends[backend] = map[string]haproxy.Server{}
		case len(f) > 4 && f[0] == "server":
			m.backends[backend][f[1]] = haproxy.Server{At: f[2], Weight: number(f[4]), Ready: true, Checked: true}
		}
	}
	return m
}

func (m *model) state() haproxy.State { return haproxy.State{Backends: m.backends} }

func (m *model) usable(backend string) bool {
	for _, s := range m.backends[backend] {
		if s.Ready && s.Weight > 0 {
			return true
		}
	}
	return false
}

func (m *model) do(t *rapid.T, command string) {
	f := strings.Fields(command)
	backend, name, _ := strings.Cut(f[2], "/")
	s, there := m.backends[backend][name]
	if there == (f[0] == "add") {
		t.Fatalf("%q: the server is there: %v", command, there)
	}
	switch f[0] + " " + f[1] {
	case "add server":
		s = haproxy.Server{At: f[3], Weight: number(f[5]), Maintenance: true}
	case "enable health":
		s.Checked = true
	case "del server":
		if !s.Maintenance {
			t.Fatalf("%q: the server is not in maintenance", command)
		}
		delete(m.backends[backend], name)
		return
	case "set server":
		switch f[3] {
		case "state":
			s.Ready, s.Maintenance = f[4] == "ready", f[4] == "maint"
		case "weight":
			s.Weight = number(f[4])
		case "addr":
			s.At = f[4] + ":" + f[6]
		}
	}
	m.backends[backend][name] = s
}

func number(s string) (n int) {
	if _, err := fmt.Sscan(s, &n); err != nil {
		panic(err)
	}
	return n
}

// disturb changes servers as people with access to the socket do.
func disturb(t *rapid.T, s haproxy.State) haproxy.State {
	for _, servers := range s.Backends {
		for name, v := range servers {
			switch rapid.IntRange(0, 5).Draw(t, "disturb") {
			case 0:
				v.Ready, v.Maintenance = false, true
			case 1:
				v.Weight = 1
			case 2:
				v.At = "192.0.2.1:1"
			case 3:
				v.Checked = false
			case 4:
				delete(servers, name)
				continue
			}
			servers[name] = v
		}
	}
	return s
}
