package survey

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/plan/exposure"
)

// Host is what was read of the host.
type Host struct {
	Enabled  bool
	Services []unstructured.Unstructured // FederatedServices
	Exports  []unstructured.Unstructured // FederatedServiceExports
	// Exportable says that FederatedServiceExports are federated.
	Exportable bool
	Records    []dnsv1.ServiceDNSRecord
	Endpoints  []dnsv1.DNSEndpoint
	Domains    []string
	// Problems are what could not be read.
	Problems []string
}

// Member is what was read of a member.
type Member struct {
	Name, Reachability string
	// Problem says why it could not be read.
	Problem string
	Exports []mcsv1.ServiceExport
	Imports []mcsv1.ServiceImport
	Slices  []discoveryv1.EndpointSlice
}

// Of is the report on everything that is exposed or exported, and on those services that are asked for by name.
func Of(h Host, members []Member, asked ...types.NamespacedName) Report {
	r := Report{Kind: Kind, Enabled: h.Enabled, Items: []Service{}, Problems: h.Problems}
	for _, key := range keys(h, members, asked) {
		r.Items = append(r.Items, h.service(key, members))
	}
	return r
}

// keys are the names of all services that are reported on, sorted.
func keys(h Host, members []Member, asked []types.NamespacedName) []types.NamespacedName {
	all := map[types.NamespacedName]bool{}
	add := func(o metav1.Object) {
		all[types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}] = true
	}
	for _, key := range asked {
		all[key] = true
	}
	for i := range h.Services {
		if h.Services[i].GetAnnotations()[fedv1.ExposeAnnotation] != "" {
			add(&h.Services[i])
		}
	}
	for i := range h.Exports {
		add(&h.Exports[i])
	}
	for i := range h.Records {
		add(&h.Records[i])
	}
	for _, m := range members {
		for i := range m.Exports {
			add(&m.Exports[i])
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

func (h Host) service(key types.NamespacedName, members []Member) Service {
	s := Service{Namespace: key.Namespace, Name: key.Name, DNSName: key.Name + "." + key.Namespace + ".svc.clusterset.local", Clusters: []Cluster{}}
	if federated := named(h.Services, key); federated != nil {
		words := exposure.Read(federated.GetAnnotations()[fedv1.ExposeAnnotation])
		if text := words.String(); text != "" {
			s.Expose = strings.Split(text, ",")
		}
		s.Addresses = addresses(federated)
		for _, p := range exposure.Make(h.World(federated)).Problems {
			s.Problems = append(s.Problems, Problem(p))
		}
	}
	export := named(h.Exports, key)
	placed := placedIn(export)
	if export != nil {
		s.Exports, _, _ = unstructured.NestedString(export.Object, "status", "ready")
	}
	for _, m := range members {
		s.Clusters = append(s.Clusters, m.cluster(key, slices.Contains(placed, m.Name)))
	}
	for _, e := range h.Endpoints {
		if e.Namespace == key.Namespace && e.Name == "service-"+key.Name {
			s.Public = names(e)
		}
	}
	for _, r := range h.Records {
		if r.Namespace == key.Namespace && r.Name == key.Name {
			s.PublicState = stateOf(r.Status.Conditions)
		}
	}
	return s
}

// World is what the manager would decide on for a FederatedService.
func (h Host) World(federated *unstructured.Unstructured) exposure.World {
	key := types.NamespacedName{Namespace: federated.GetNamespace(), Name: federated.GetName()}
	w := exposure.World{
		Service: exposure.ServiceOf(federated), Exportable: h.Exportable, Domains: h.Domains, DomainsRead: true,
		Export: exposure.Neighbour{Read: true}, Record: exposure.Neighbour{Read: true},
	}
	if o := named(h.Exports, key); o != nil {
		w.Export = exposure.ExportOf(o)
		w.Export.Read = true
	}
	for _, r := range h.Records {
		if r.Namespace == key.Namespace && r.Name == key.Name {
			w.Record = exposure.NeighbourOf(&r)
			w.Record.Read, w.Record.Domain = true, r.Spec.DomainRef
		}
	}
	return w
}

func named(list []unstructured.Unstructured, key types.NamespacedName) *unstructured.Unstructured {
	for i := range list {
		if list[i].GetNamespace() == key.Namespace && list[i].GetName() == key.Name {
			return &list[i]
		}
	}
	return nil
}

// placedIn are the members that a FederatedServiceExport is in, or on its way to, as its status tells.
func placedIn(o *unstructured.Unstructured) []string {
	if o == nil {
		return nil
	}
	clusters, _, _ := unstructured.NestedSlice(o.Object, "status", "clusters")
	var out []string
	for _, c := range clusters {
		entry, _ := c.(map[string]any)
		if name, _ := entry["name"].(string); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// addresses are those that the status of a FederatedService tells, with their ports.
func addresses(o *unstructured.Unstructured) []string {
	ingress, _, _ := unstructured.NestedSlice(o.Object, "status", "loadBalancer", "ingress")
	var out []string
	for _, i := range ingress {
		entry, _ := i.(map[string]any)
		ip, _ := entry["ip"].(string)
		host, _ := entry["hostname"].(string)
		ports, _ := entry["ports"].([]any)
		for _, p := range ports {
			port, _ := p.(map[string]any)
			if number, ok := port["port"].(int64); ok {
				out = append(out, net.JoinHostPort(cmp.Or(ip, host), strconv.FormatInt(number, 10)))
			}
		}
		if len(ports) == 0 {
			out = append(out, cmp.Or(ip, host))
		}
	}
	slices.Sort(out)
	return out
}

func names(e dnsv1.DNSEndpoint) []Name {
	var out []Name
	for _, p := range e.Spec.Endpoints {
		out = append(out, Name{Name: p.DNSName, Type: p.RecordType, Targets: p.Targets})
	}
	slices.SortFunc(out, func(a, b Name) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type)) })
	return out
}

// stateOf is what a condition Ready says if it is not true.
func stateOf(conditions []metav1.Condition) string {
	ready := meta.FindStatusCondition(conditions, "Ready")
	if ready == nil || ready.Status == metav1.ConditionTrue {
		return ""
	}
	return ready.Reason + ": " + ready.Message
}

func (m Member) cluster(key types.NamespacedName, placed bool) Cluster {
	c := Cluster{Name: m.Name, Reachability: cmp.Or(m.Reachability, "flat"), Placed: placed, Problem: m.Problem}
	if m.Problem != "" {
		return c
	}
	is := func(o metav1.Object) bool { return o.GetNamespace() == key.Namespace && o.GetName() == key.Name }
	for i := range m.Exports {
		if e := &m.Exports[i]; is(e) {
			c.Export = &Export{State: stateOfExport(e.Status.Conditions), Ready: meta.IsStatusConditionTrue(e.Status.Conditions, string(mcsv1.ServiceExportConditionReady)), Conditions: e.Status.Conditions}
		}
	}
	for i := range m.Imports {
		if im := &m.Imports[i]; is(im) {
			c.Import = importOf(im)
		}
	}
	for i := range m.Slices {
		slice := &m.Slices[i]
		imported := slice.Labels[mcsv1.LabelServiceName] == key.Name
		switch {
		case slice.Namespace != key.Namespace:
		case imported && c.Import != nil:
			c.Import.Endpoints.count(slice)
		case !imported && slice.Labels[discoveryv1.LabelServiceName] == key.Name:
			c.Endpoints.count(slice)
		}
	}
	return c
}

func importOf(im *mcsv1.ServiceImport) *Import {
	out := &Import{Type: string(im.Spec.Type), IPs: im.Spec.IPs}
	for _, from := range im.Status.Clusters {
		out.From = append(out.From, from.Cluster)
	}
	slices.Sort(out.From)
	return out
}

// count adds endpoints. One that does not say whether it is ready is.
func (e *Endpoints) count(s *discoveryv1.EndpointSlice) {
	for _, endpoint := range s.Endpoints {
		e.All++
		if ready := endpoint.Conditions.Ready; ready == nil || *ready {
			e.Ready++
		}
	}
}

// stateOfExport is the first thing that is not as it should be; the first that matches counts.
func stateOfExport(conditions []metav1.Condition) string {
	find := func(kind mcsv1.ServiceExportConditionType) (metav1.Condition, bool) {
		c := meta.FindStatusCondition(conditions, string(kind))
		if c == nil {
			return metav1.Condition{}, false
		}
		return *c, true
	}
	valid, _ := find(mcsv1.ServiceExportConditionValid)
	conflict, _ := find(mcsv1.ServiceExportConditionConflict)
	ready, told := find(mcsv1.ServiceExportConditionReady)
	switch {
	case valid.Status == metav1.ConditionFalse:
		return valid.Reason
	case conflict.Status == metav1.ConditionTrue:
		return conflict.Reason
	case !told:
		return "Pending"
	case ready.Status != metav1.ConditionTrue:
		return cmp.Or(ready.Reason, "Pending")
	default:
		return "Ready"
	}
}

// Missing says what of a service is not yet as its annotation asks for; empty if all is.
func (s Service) Missing() []string {
	var out []string
	for _, p := range s.Problems {
		out = append(out, p.Message)
	}
	placed := 0
	for _, c := range s.Clusters {
		if !c.Placed {
			continue
		}
		placed++
		switch {
		case c.Problem != "":
			out = append(out, fmt.Sprintf("%s cannot be asked: %s", c.Name, c.Problem))
		case c.Export == nil:
			out = append(out, c.Name+" has no ServiceExport yet")
		case !c.Export.Ready:
			out = append(out, fmt.Sprintf("the export in %s is %s", c.Name, c.Export.State))
		case c.Import == nil:
			out = append(out, c.Name+" has no ServiceImport yet")
		case c.Import.Type == string(mcsv1.ClusterSetIP) && len(c.Import.IPs) == 0:
			out = append(out, "the import in "+c.Name+" has no address yet")
		}
	}
	if have, meant, _ := strings.Cut(s.Exports, "/"); placed == 0 || have != meant {
		out = append(out, fmt.Sprintf("%s of the clusters meant have the export", cmp.Or(s.Exports, "none")))
	}
	if slices.Contains(s.Expose, "public") && (len(s.Public) == 0 || s.PublicState != "") {
		out = append(out, "public names: "+cmp.Or(s.PublicState, "not made yet"))
	}
	if slices.Contains(s.Expose, "balance") && len(s.Addresses) == 0 {
		out = append(out, "the load balancers have no address for it yet")
	}
	return out
}
