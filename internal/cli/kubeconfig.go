package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // logins by OpenID Connect and by commands
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

// Times that a user waits at most for an API server: for its first answer, and for any later one.
const (
	reachTimeout   = 8 * time.Second
	requestTimeout = 10 * time.Second
)

// readKubeconfig reads the file that the flag names, else those of KUBECONFIG, else ~/.kube/config.
func readKubeconfig(path string) (*clientcmdapi.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	from := path
	if from == "" {
		from = strings.Join(rules.Precedence, string(os.PathListSeparator))
	}
	config, err := rules.Load()
	switch {
	case err != nil:
		return nil, fail.BadKubeconfig.New("cannot read the kubeconfig %s", from).Because(err).Try("kubectl --kubeconfig %s config view", from)
	case len(config.Contexts) == 0:
		return nil, fail.BadKubeconfig.New("the kubeconfig %s has no contexts", from).Try("name another one with --kubeconfig or in KUBECONFIG")
	}
	return config, nil
}

// context of a kubeconfig with the cluster that it leads to.
type kubecontext struct {
	name    string
	cluster *clientcmdapi.Cluster
	config  *clientcmdapi.Config
}

// contextNamed finds a context; an empty name is the current one.
func contextNamed(config *clientcmdapi.Config, name string) (kubecontext, error) {
	known := strings.Join(slices.Sorted(maps.Keys(config.Contexts)), ", ")
	if name == "" {
		name = config.CurrentContext
	}
	if name == "" {
		return kubecontext{}, fail.NoContext.New("the kubeconfig has no current context").Try("name one of these: %s", known)
	}
	c, ok := config.Contexts[name]
	if !ok {
		return kubecontext{}, fail.NoContext.New("the kubeconfig has no context %q", name).Try("it has: %s", known)
	}
	cluster, ok := config.Clusters[c.Cluster]
	if !ok || cluster.Server == "" {
		return kubecontext{}, fail.BadKubeconfig.New("context %q of the kubeconfig leads nowhere", name).
			Because(fmt.Errorf("there is no cluster %q with a server", c.Cluster)).Try("kubectl config set-cluster %s --server=https://...", c.Cluster)
	}
	return kubecontext{name: name, cluster: cluster, config: config}, nil
}

// connect reaches the cluster of a context.
func connect(ctx context.Context, path, name string, s Streams) (join.Cluster, error) {
	config, err := readKubeconfig(path)
	if err != nil {
		return join.Cluster{}, err
	}
	c, err := contextNamed(config, name)
	if err != nil {
		return join.Cluster{}, err
	}
	return c.open(ctx, s)
}

func (c kubecontext) open(ctx context.Context, s Streams) (join.Cluster, error) {
	out := join.Cluster{
		Context:   c.name,
		Endpoint:  c.cluster.Server,
		CA:        c.cluster.CertificateAuthorityData,
		Insecure:  c.cluster.InsecureSkipTLSVerify,
		ProxyURL:  c.cluster.ProxyURL,
		Namespace: cmp.Or(c.config.Contexts[c.name].Namespace, metav1.NamespaceDefault),
	}
	var err error
	if file := c.cluster.CertificateAuthority; len(out.CA) == 0 && file != "" {
		if out.CA, err = os.ReadFile(file); err != nil {
			return out, fail.BadKubeconfig.New("cannot read the certificate authority of context %q", c.name).Because(err)
		}
	}
	out.Config, err = clientcmd.NewNonInteractiveClientConfig(*c.config, c.name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return out, fail.BadKubeconfig.New("context %q of the kubeconfig cannot be used", c.name).Because(err)
	}
	out.Config.QPS = -1
	out.Config.Timeout = requestTimeout
	out.Config.WarningHandler = plainWarnings{rest.NewWarningWriter(s.Err, rest.WarningWriterOptions{Deduplicate: true})}
	if err := reach(ctx, out); err != nil {
		return out, err
	}
	out.Client, err = client.New(out.Config, client.Options{Scheme: scheme()})
	return out, fail.API(out.At(), "ask for the API types", err)
}

// reach asks an API server for its version, to tell early and plainly if there is none.
func reach(ctx context.Context, c join.Cluster) error {
	config := rest.CopyConfig(c.Config)
	config.Timeout = reachTimeout
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fail.BadKubeconfig.New("context %q of the kubeconfig cannot be used", c.Context).Because(err)
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	body, err := d.RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	var version struct{ GitVersion string }
	var answered apierrors.APIStatus
	switch {
	case errors.As(err, &answered) && !apierrors.IsUnauthorized(err) && !apierrors.IsForbidden(err):
		return fail.NotReachable.New("%s is not a Kubernetes API server", c.At()).Because(err).
			Try("check the address: kubectl config view --minify --context %s", c.Context)
	case err != nil:
		return fail.API(c.At(), "ask for the version", err)
	case json.Unmarshal(body, &version) != nil || version.GitVersion == "":
		return fail.NotReachable.New("%s is not a Kubernetes API server", c.At()).Because(errors.New("/version does not answer with a version")).
			Try("check the address: kubectl config view --minify --context %s", c.Context)
	}
	return nil
}

// scheme knows the types that the verbs read and write.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextv1.AddToScheme, fedv1.AddToScheme, dnsv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // cannot happen: the types are compiled in
		}
	}
	return s
}

// plainWarnings print the warnings of admission policies as those of others: without the policy's name.
type plainWarnings struct{ rest.WarningHandler }

var ofPolicy = regexp.MustCompile(`^Validation failed for ValidatingAdmissionPolicy '[^']*' with binding '[^']*': `)

func (w plainWarnings) HandleWarningHeader(code int, agent, text string) {
	w.WarningHandler.HandleWarningHeader(code, agent, ofPolicy.ReplaceAllString(text, ""))
}
