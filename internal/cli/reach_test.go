package cli_test

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hansa-io/hansa/internal/cli"
)

// What is no API server, or none that can be reached, is told as such, with its address, within ten seconds.
func TestAnEndpointThatIsNoCluster(t *testing.T) {
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	cases := []struct {
		name    string
		handler http.HandlerFunc
		change  func(*clientcmdapi.Cluster)
		want    string
	}{
		{"a web site", answer(200, "<html>"), nil, "is not a Kubernetes API server"},
		{"a web site that does not know the path", answer(404, "nothing here\x1b[31m"), nil, "is not a Kubernetes API server"},
		{"one that refuses the login", answer(401, "{}"), nil, "KF1102"},
		{"a certificate that nobody vouches for", answer(200, "{}"), func(c *clientcmdapi.Cluster) { c.CertificateAuthorityData = nil }, "certificate"},
		{"a certificate for another name", answer(200, "{}"), func(c *clientcmdapi.Cluster) { c.TLSServerName = "other.example.org" }, "other.example.org"},
		{"a name that does not resolve", answer(200, "{}"), func(c *clientcmdapi.Cluster) { c.Server = "https://cluster.invalid" }, "https://cluster.invalid"},
		{"one that hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, "no answer in time"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(c.handler)
			t.Cleanup(server.Close)
			t.Cleanup(server.CloseClientConnections)
			config := clientcmdapi.NewConfig()
			config.Clusters["a"] = &clientcmdapi.Cluster{
				Server:                   server.URL,
				CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			}
			if c.change != nil {
				c.change(config.Clusters["a"])
			}
			config.AuthInfos["a"] = &clientcmdapi.AuthInfo{Token: "t"}
			config.Contexts["a"] = &clientcmdapi.Context{Cluster: "a", AuthInfo: "a"}
			file := filepath.Join(t.TempDir(), "kubeconfig")
			if err := clientcmd.WriteToFile(*config, file); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			began := time.Now()
			code := cli.Run(t.Context(), []string{"kubefedctl", "join", "a", "--kubeconfig", file, "--host-cluster-context", "a"}, cli.Streams{Out: &out, Err: &out})
			if code != 3 || !strings.Contains(out.String(), c.want) || !strings.Contains(out.String(), config.Clusters["a"].Server) || strings.Contains(out.String(), "\x1b") {
				t.Errorf("exit code %d\n%s", code, out.String())
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}
