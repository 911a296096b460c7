package main

import (
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// addToKubeconfig gives the lab's kubeconfig a context, a cluster and a user, each named after the cluster. It keeps
// whatever else is there: users put contexts of their own into it. The first cluster becomes the current context.
func (f folder) addToKubeconfig(clusters []cluster) error {
	config, err := f.readKubeconfig()
	if err != nil {
		return err
	}
	for _, c := range clusters {
		ca, err := os.ReadFile(f.cluster(c.Name).path("pki", "ca.crt"))
		if err != nil {
			return fmt.Errorf("add cluster %s to kubeconfig: %w", c.Name, err)
		}
		addContext(config, c, admin, ca)
	}
	return f.writeKubeconfig(config)
}

func (f folder) removeFromKubeconfig(names []string) error {
	config, err := f.readKubeconfig()
	if err != nil {
		return err
	}
	for _, name := range names {
		delete(config.Contexts, name)
		delete(config.Clusters, name)
		delete(config.AuthInfos, name)
	}
	if _, ok := config.Contexts[config.CurrentContext]; !ok {
		config.CurrentContext = ""
		if l, err := f.load(); err == nil && len(l.Clusters) > 0 {
			config.CurrentContext = l.Clusters[0].Name
		}
	}
	return f.writeKubeconfig(config)
}

func (f folder) readKubeconfig() (*clientcmdapi.Config, error) {
	config, err := clientcmd.LoadFromFile(f.kubeconfig())
	if os.IsNotExist(err) {
		return clientcmdapi.NewConfig(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return config, nil
}

func (f folder) writeKubeconfig(config *clientcmdapi.Config) error {
	data, err := clientcmd.Write(*config)
	if err == nil {
		err = writeFile(f.kubeconfig(), data)
	}
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// componentKubeconfig is the file by which a component reaches its own API server.
func componentKubeconfig(c cluster, server, user string, ca []byte) ([]byte, error) {
	config := clientcmdapi.NewConfig()
	addContext(config, c, user, ca)
	config.Clusters[c.Name].Server = server
	return clientcmd.Write(*config)
}

func addContext(config *clientcmdapi.Config, c cluster, user string, ca []byte) {
	config.Clusters[c.Name] = &clientcmdapi.Cluster{Server: c.apiURL(), CertificateAuthorityData: ca}
	config.AuthInfos[c.Name] = &clientcmdapi.AuthInfo{Token: c.Tokens[user]}
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: c.Name}
	if config.CurrentContext == "" {
		config.CurrentContext = c.Name
	}
}

// adminConfig is how the supervisor itself speaks to a cluster.
func (f folder) adminConfig(c cluster) *rest.Config {
	return &rest.Config{
		Host:            c.apiURL(),
		BearerToken:     c.Tokens[admin],
		TLSClientConfig: rest.TLSClientConfig{CAFile: f.cluster(c.Name).path("pki", "ca.crt")},
		UserAgent:       "hansa-lab",
		QPS:             -1,
	}
}
