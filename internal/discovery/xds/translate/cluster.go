package translate

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// What holds for all clusters. Readiness comes from the members; what clients see themselves comes on top of it, because the way to an
// endpoint may be broken where the endpoint is not.
const (
	connectTimeout = 3 * time.Second
	checkInterval  = 5 * time.Second
	checkTimeout   = time.Second
	// grpcBackOff before the first of the retries of a call; the next ones wait twice as long each.
	grpcBackOff = 20 * time.Millisecond
	// unlimited is what a circuit breaker must be told: clients have a limit of 1024 where nothing is said.
	unlimited = 1 << 20
	// retryShare is the percentage of requests that may be retries at a time.
	retryShare = 20
)

// nowhere is the cluster of TCP listeners that lead to nothing: it has no endpoints, so that connections are closed.
const nowhere = "hansa.nowhere"

func isNamed(e balance.Endpoint) bool {
	_, err := netip.ParseAddr(e.Address)
	return err != nil
}

func baseCluster(s balance.Service) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:           Name(s),
		ConnectTimeout: durationpb.New(connectTimeout),
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{
			LocalityConfigSpecifier: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{}},
		},
		OutlierDetection: &clusterv3.OutlierDetection{}, // its defaults: 5 errors in a row, or many more errors than the others have
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections: wrapperspb.UInt32(unlimited), MaxPendingRequests: wrapperspb.UInt32(unlimited), MaxRequests: wrapperspb.UInt32(unlimited),
			RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{BudgetPercent: &typev3.Percent{Value: retryShare}, MinRetryConcurrency: wrapperspb.UInt32(10)},
		}}},
		HealthChecks: []*corev3.HealthCheck{{
			Timeout: durationpb.New(checkTimeout), Interval: durationpb.New(checkInterval),
			UnhealthyThreshold: wrapperspb.UInt32(2), HealthyThreshold: wrapperspb.UInt32(1),
			HealthChecker: &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}},
		}},
		// An endpoint that is taken out is out, even if it still answers checks.
		IgnoreHealthOnHostRemoval: true,
	}
	if s.Affinity {
		c.LbPolicy = clusterv3.Cluster_RING_HASH
	}
	if speaksHTTP2(s) {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(&httpv3.HttpProtocolOptions{
				UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
					ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}},
				}},
			}),
		}
	}
	return c
}

func speaksHTTP2(s balance.Service) bool {
	switch s.AppProtocol {
	case "kubernetes.io/h2c", "h2c", "http2", "grpc":
		return true
	}
	return false
}

// endpointCluster gets its endpoints on the same stream.
func endpointCluster(s balance.Service) *clusterv3.Cluster {
	c := baseCluster(s)
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: thisStream()}
	return c
}

// namedCluster has host names among its endpoints, which the client resolves.
func namedCluster(s balance.Service, endpoints *endpointv3.ClusterLoadAssignment, grpc bool) *clusterv3.Cluster {
	c := baseCluster(s)
	kind := clusterv3.Cluster_STRICT_DNS
	if grpc {
		kind = clusterv3.Cluster_LOGICAL_DNS
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: kind}
	c.LoadAssignment = endpoints
	return c
}

func nowhereCluster() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: nowhere, ConnectTimeout: durationpb.New(connectTimeout),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
	}
}

func thisStream() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

// pack makes an Any. Equal messages have equal bytes, so that a resource is sent again only if it has changed.
func pack(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic(err) // only text that is not UTF-8 does not marshal, and Kubernetes has none
	}
	return a
}
