package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/convert"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

type federateFlags struct {
	hostFlags
	inNamespace, output, file string
	enableType, contents      bool
	skip                      []string
}

func federateVerb(s Streams) *cobra.Command {
	var f federateFlags
	c := &cobra.Command{
		Use:   "federate TYPE NAME | -f FILENAME",
		Short: "Make a federated object of an object of the host",
		Long: "Make a federated object of an object of the host, placed in all clusters. The object itself stays; if the host is a member, the\n" +
			"federation takes it over there. A file is only converted and printed.",
		Example: "  # Federate a secret, and the namespace that it is in\n  kubefedctl federate secrets mysecret -n test\n  kubefedctl federate namespace test\n\n" +
			"  # Federate a namespace with all that makes sense in it\n  kubefedctl federate namespace test --contents --skip-api-resources pods\n\n" +
			"  # Convert a file\n  kubefedctl federate -f deployment.yaml",
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args, s) },
	}
	f.add(c)
	c.Flags().StringVarP(&f.inNamespace, "namespace", "n", "", "namespace of the object; else that of the context")
	c.Flags().StringVarP(&f.output, "output", "o", "", `print as "yaml" or "json" and write nothing`)
	c.Flags().BoolVarP(&f.enableType, "enable-type", "t", false, "enable the type first, if it is not")
	c.Flags().BoolVarP(&f.contents, "contents", "c", false, "with a namespace: federate what is in it too")
	c.Flags().StringVarP(&f.file, "filename", "f", "", "file to convert and print, or - for stdin; the other flags are then ignored")
	c.Flags().StringSliceVarP(&f.skip, "skip-api-resources", "s", nil, "with --contents: types or groups to leave out, with commas between")
	complete(c, "output", words("yaml", "json"))
	completeArgs(c, f.types(func(r enable.Resource) bool { return r.Can("get", "list") && convert.KeepType(r.APIResource) == "" }))
	return c
}

func (f *federateFlags) run(c *cobra.Command, args []string, s Streams) error {
	if err := printable(f.output); err != nil {
		return err
	}
	if f.file != "" {
		return convertFile(f.file, f.output, s)
	}
	if err := f.check(args); err != nil {
		return err
	}
	ctx := c.Context()
	host, err := f.connect(ctx, s)
	if err != nil {
		return err
	}
	all, err := discover(host, s)
	if err != nil {
		return err
	}
	r, err := find(all, args[0], s)
	if err != nil {
		return err
	}
	if f.contents && enable.NameOf(r.APIResource) != fedv1.NamespacesTypeName {
		return fail.BadUsage.New("Flag '--contents' can only be used with type 'namespaces'.")
	}
	work := federation{federateFlags: f, Streams: s, host: host, all: all}
	return work.federate(ctx, r, args[1])
}

func (f *federateFlags) check(args []string) error {
	switch {
	case len(args) != 2:
		return fail.BadUsage.New("TYPE and NAME are required").Try("kubefedctl federate secrets mysecret -n test, or kubefedctl federate -f FILENAME")
	case f.output != "" && f.enableType:
		return fail.BadUsage.New("Flag '--enable-type' cannot be used with '--output %s': nothing is written then", f.output).
			Try("kubefedctl enable %s -o %s prints what enables the type", args[0], f.output)
	}
	return nil
}

// convertFile prints the federated form of each object of a file. It asks no API server.
func convertFile(path, format string, s Streams) error {
	data, err := readFile(path, s)
	if err != nil {
		return err
	}
	objects, err := convert.Decode(data)
	if err != nil {
		return fail.BadFile.New("cannot convert file %s", path).Because(err)
	}
	for i, o := range objects {
		objects[i] = convert.Federated(o, enable.Group, enable.Version)
	}
	return print(s.Out, format, objects)
}

// federation is one run of the verb.
type federation struct {
	*federateFlags
	Streams
	host join.Cluster
	all  enable.Catalogue
}

// item is an object with its type, on its way to become federated.
type item struct {
	resource enable.Resource
	object   *unstructured.Unstructured
	// federated is the type that it becomes.
	federated fedv1.APIResource
}

func (w *federation) federate(ctx context.Context, r enable.Resource, name string) error {
	first, err := w.read(ctx, r, name)
	if err != nil {
		return err
	}
	items := []item{first}
	if w.contents {
		inside, err := w.inside(ctx, name)
		if err != nil {
			return err
		}
		items = append(items, inside...)
	}
	if err := w.types(ctx, items); err != nil {
		return err
	}
	if w.output != "" {
		return w.print(items)
	}
	return w.createAll(ctx, items)
}

// read reads the object that the user names.
func (w *federation) read(ctx context.Context, r enable.Resource, name string) (item, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(r.GVK())
	key := client.ObjectKey{Name: name}
	switch {
	case r.Namespaced():
		key.Namespace = w.inNamespace
		if key.Namespace == "" {
			key.Namespace = w.host.Namespace
		}
	case enable.NameOf(r.APIResource) == fedv1.NamespacesTypeName:
		w.say(0, "Resource to federate is a namespace. Given namespace will itself be the container for the federated namespace")
		if convert.SystemNamespace(name, w.namespace) {
			return item{}, fail.NeverFederated.New("namespace %q is never federated", name).Because(fmt.Errorf("each cluster has its own"))
		}
	}
	err := w.host.Client.Get(ctx, key, o)
	if apierrors.IsNotFound(err) {
		return item{}, fail.ObjectNotFound.New("%s %q does not exist in %s", r.Kind, title(key), w.host.At()).
			Try("kubectl --context %s get %s --all-namespaces", w.host.Context, enable.NameOf(r.APIResource))
	}
	if why := convert.KeepObject(o); err == nil && why != "" {
		w.say(0, "WARNING: %s %q: %s", r.Kind, title(key), why)
	}
	return item{resource: r, object: o}, fail.API(w.host.At(), "read "+r.Kind+" "+title(key), err)
}

func title(key client.ObjectKey) string { return strings.TrimPrefix(key.String(), "/") }

// types finds the federated type of each item, before anything is written. Types that are not enabled are enabled if the user said
// so; to print, none needs to be.
func (w *federation) types(ctx context.Context, items []item) error {
	configs, err := typeConfigs(ctx, w.host, w.namespace)
	if err != nil {
		return err
	}
	known := map[string]fedv1.APIResource{}
	for _, t := range configs {
		known[t.Name] = t.Spec.FederatedType
	}
	var missing []string
	for _, i := range items {
		name := enable.NameOf(i.resource.APIResource)
		if _, ok := known[name]; !ok {
			missing = append(missing, name)
			known[name] = enable.Federated(enable.Target{APIResource: i.resource.APIResource}, enable.Group, enable.Version)
		}
	}
	switch {
	case len(missing) == 0 || w.output != "":
	case !w.enableType:
		return w.notEnabled(missing)
	default:
		if err := w.enable(ctx, missing, configs); err != nil {
			return err
		}
	}
	for n := range items {
		items[n].federated = known[enable.NameOf(items[n].resource.APIResource)]
	}
	return nil
}

func (w *federation) notEnabled(missing []string) error {
	err := fail.TypeNotEnabled.New("type %q is not enabled for federation: there is no FederatedTypeConfig %s/%s", missing[0], w.namespace, missing[0])
	if len(missing) > 1 {
		err = fail.TypeNotEnabled.New("%d types are not enabled for federation: there are no FederatedTypeConfigs in %s for %s", len(missing), w.namespace, list(missing))
	}
	way := "Consider using '--enable-type' to optionally enable type while federating the resource"
	if w.contents {
		way += "\nor leave them out: --skip-api-resources " + strings.Join(missing, ",")
	}
	return err.Try("%s", way)
}

// enable enables types, none of them if one cannot be.
func (w *federation) enable(ctx context.Context, missing []string, configs []fedv1.FederatedTypeConfig) error {
	if err := systemNamespace(ctx, w.host, w.namespace); err != nil {
		return err
	}
	pairs := make([]enable.Pair, len(missing))
	for n, name := range missing {
		p, err := resolve(ctx, w.host, w.all, enable.Request{Type: name, Group: enable.Group, Version: enable.Version}, w.namespace)
		if err != nil {
			return err
		}
		if err := enable.Conflict(p, configs); err != nil {
			return err
		}
		pairs[n], configs = p, append(configs, *p.Config)
	}
	for _, p := range pairs {
		if err := apply(ctx, w.host, p, w.dryRun, w.Streams); err != nil {
			return err
		}
	}
	return nil
}

func (w *federation) print(items []item) error {
	out := make([]*unstructured.Unstructured, len(items))
	for n, i := range items {
		out[n] = convert.Federated(i.object, i.federated.Group, i.federated.Version)
	}
	return print(w.Out, w.output, out)
}

// create writes the federated form of an object. A type that was enabled just now needs a moment to be served.
func (w *federation) create(ctx context.Context, i item) error {
	from := title(client.ObjectKeyFromObject(i.object))
	if a := i.object.GetAnnotations(); len(a) > 0 {
		w.say(0, "Annotations defined for %s %q will not appear in the template of the federated resource: %v", i.resource.Kind, from, brief(i.resource, a))
	}
	o := convert.Federated(i.object, i.federated.Group, i.federated.Version)
	o.SetKind(i.federated.Kind)
	what := fmt.Sprintf("%s %q", o.GetKind(), title(client.ObjectKeyFromObject(o)))
	err := w.createSoon(ctx, o)
	switch {
	case apierrors.IsAlreadyExists(err) && w.leaving(ctx, o):
		return fail.AlreadyFederated.New("%s is being deleted", what).Try("run the same command again when it is gone")
	case apierrors.IsAlreadyExists(err) && w.contents:
		w.say(0, "%s already exists and stays as it is", what)
		return nil
	case apierrors.IsAlreadyExists(err):
		return fail.AlreadyFederated.New("%s already exists", what).Because(fmt.Errorf("the object is federated, and federate changes nothing")).
			Try("change it with kubectl edit, or delete it first")
	case err != nil:
		return fail.API(w.host.At(), "create "+what, err)
	}
	w.say(0, "Successfully created %s from %s%s", what, i.resource.Kind, w.dryRun.Suffix())
	return nil
}

// leaving says whether the federated object that is there is on its way out: then it is no reason to be content.
func (w *federation) leaving(ctx context.Context, o *unstructured.Unstructured) bool {
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(o.GroupVersionKind())
	return w.host.Client.Get(ctx, client.ObjectKeyFromObject(o), live) == nil && live.DeletionTimestamp != nil
}

// brief is annotations without long values, and without any of a Secret's: kubectl keeps a copy of the whole object in one.
func brief(r enable.Resource, annotations map[string]string) map[string]string {
	const long = 40
	out := map[string]string{}
	for key, value := range annotations {
		if len(value) > long || r.Kind == "Secret" {
			value = "..."
		}
		out[key] = value
	}
	return out
}

func (w *federation) createSoon(ctx context.Context, o *unstructured.Unstructured) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		last = w.dryRun.Writer(w.host.Client).Create(ctx, o)
		absent := apierrors.IsNotFound(last) || meta.IsNoMatchError(last)
		if absent && w.dryRun == dryrun.Server {
			return true, nil // the type that it needs is not there, as nothing is written in a dry run
		}
		if absent {
			return false, nil
		}
		return true, last
	})
	if wait.Interrupted(err) && last != nil {
		return last
	}
	return err
}

// createAll creates the federated form of each item. One that cannot be created does not keep the others from it, unless they would
// fare no better: the first, which is the namespace that the others are in, an API server that is away, or a user who interrupts.
func (w *federation) createAll(ctx context.Context, items []item) error {
	var failed []string
	for n, i := range items {
		err := w.create(ctx, i)
		switch {
		case err == nil:
		case n == 0:
			return err
		case ctx.Err() != nil, fail.ExitOf(err) == fail.Unreachable:
			return partly(n-len(failed), len(items), append(failed, err.Error()))
		default:
			failed = append(failed, err.Error())
		}
	}
	if len(failed) > 0 {
		return partly(len(items)-len(failed), len(items), failed)
	}
	return nil
}

// partly is the failure of a run that federated some of its objects.
func partly(done, all int, failed []string) error {
	const shown = 5
	why := strings.Join(failed[:min(len(failed), shown)], "; ")
	if more := len(failed) - shown; more > 0 {
		why += fmt.Sprintf("; and %d more", more)
	}
	return fail.PartlyFederated.New("%d of %d objects were federated", done, all).Because(errors.New(why)).
		Try("run the same command again to federate the rest: what is federated stays as it is")
}
