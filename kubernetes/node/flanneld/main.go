// Command flanneld is flannel's daemon for Kubernetes nodes: subnets come from the API server,
// packets go over VXLAN or plain routes, and rules are written to nftables. It takes the flags
// of the same name of upstream's program, which has more back ends (and the SDK of a cloud
// provider for one of them), etcd and iptables besides.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"k8s.io/klog/v2"
)

// options are the flags.
type options struct {
	interfaces  interfaceNames
	kubeconfig  string
	apiURL      string
	netConf     string
	subnetFile  string
	publicIP    string
	publicIPv6  string
	healthzIP   string
	healthzPort int
	masquerade  bool
	kubernetes  bool
}

// interfaceNames is a flag that may be given several times.
type interfaceNames []string

func (names *interfaceNames) String() string { return strings.Join(*names, ",") }

func (names *interfaceNames) Set(name string) error {
	*names = append(*names, name)
	return nil
}

func main() {
	var opts options
	flag.Var(&opts.interfaces, "iface", "interface to use between nodes, by name or address; the first that is there (default: the one of the default route)")
	flag.StringVar(&opts.kubeconfig, "kubeconfig-file", "", "kubeconfig file (default: the pod's service account)")
	flag.StringVar(&opts.apiURL, "kube-api-url", "", "URL of the API server (default: from the kubeconfig or the pod)")
	flag.StringVar(&opts.netConf, "net-config-path", "/etc/kube-flannel/net-conf.json", "network configuration")
	flag.StringVar(&opts.subnetFile, "subnet-file", "/run/flannel/subnet.env", "where the node's subnet is written for the CNI plugin")
	flag.StringVar(&opts.publicIP, "public-ip", "", "IPv4 address at which other nodes reach this one")
	flag.StringVar(&opts.publicIPv6, "public-ipv6", "", "IPv6 address at which other nodes reach this one")
	flag.StringVar(&opts.healthzIP, "healthz-ip", "0.0.0.0", "address of the health server")
	flag.IntVar(&opts.healthzPort, "healthz-port", 0, "port of the health server (0: none)")
	flag.BoolVar(&opts.masquerade, "ip-masq", false, "masquerade what leaves the pod network")
	flag.BoolVar(&opts.kubernetes, "kube-subnet-mgr", true, "take the subnet from the API server; there is no other source")
	klog.InitFlags(nil)
	flag.Parse()
	if !opts.kubernetes {
		klog.Exit("this flanneld takes its subnet from the API server only: leave --kube-subnet-mgr on")
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &opts); err != nil && ctx.Err() == nil {
		klog.Exit(err)
	}
}

// run joins the network and keeps the node's routes right until ctx ends.
func run(ctx context.Context, opts *options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ready atomic.Bool
	if opts.healthzPort > 0 {
		serveHealth(ctx, net.JoinHostPort(opts.healthzIP, strconv.Itoa(opts.healthzPort)), &ready)
	}

	const annotations, setNetworkAvailable = "flannel.alpha.coreos.com", true
	subnets, err := kube.NewSubnetManager(ctx, opts.apiURL, opts.kubeconfig, annotations, opts.netConf, setNetworkAvailable)
	if err != nil {
		return fmt.Errorf("cannot reach the API server for subnets: %w", err)
	}
	config, err := subnets.GetNetworkConfig(ctx)
	if err != nil {
		return fmt.Errorf("no network configuration: %w", err)
	}
	external, err := externalInterface(ctx, opts, subnets, config)
	if err != nil {
		return err
	}
	network, err := backend.NewManager(ctx, subnets, external).GetBackend(config.BackendType)
	if err != nil {
		return fmt.Errorf("no back end %q: %w", config.BackendType, err)
	}
	var running sync.WaitGroup
	registered, err := network.RegisterNetwork(ctx, &running, config)
	if err != nil {
		return fmt.Errorf("cannot join the network: %w", err)
	}

	rules := &nftables.NFTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return err
	}
	const resyncSeconds, randomPortsOff = 5, false
	if opts.masquerade {
		// The previous networks only matter to iptables, where rules are changed one by one.
		var none4 ip.IP4Net
		var none6 ip.IP6Net
		err := rules.SetupAndEnsureMasqRules(ctx, config.Network, none4, none4, config.IPv6Network, none6, none6,
			registered.Lease(), resyncSeconds, randomPortsOff)
		if err != nil {
			return fmt.Errorf("cannot masquerade: %w", err)
		}
	}
	rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, resyncSeconds)

	lease := registered.Lease()
	err = subnets.HandleSubnetFile(opts.subnetFile, config, opts.masquerade, lease.Subnet, lease.IPv6Subnet, registered.MTU())
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", opts.subnetFile, err)
	}
	ready.Store(true)
	klog.Infof("flannel is ready: subnet %s, MTU %d", lease.Subnet, registered.MTU())

	running.Go(func() { registered.Run(ctx) })
	err = subnets.CompleteLease(ctx, lease, &running)
	if err != nil && ctx.Err() == nil {
		cancel()
		err = fmt.Errorf("the lease ended: %w", err)
	}
	running.Wait()
	return err
}

// externalInterface finds the interface that leads to the other nodes.
func externalInterface(ctx context.Context, opts *options, subnets subnet.Manager, config *subnet.Config) (*backend.ExternalInterface, error) {
	stack, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return nil, err
	}
	if stored, stored6 := subnets.GetStoredPublicIP(ctx); stored != "" || stored6 != "" {
		opts.publicIP, opts.publicIPv6 = stored, stored6
	}
	public := ipmatch.PublicIPOpts{PublicIP: opts.publicIP, PublicIPv6: opts.publicIPv6}
	candidates := []string(opts.interfaces)
	if len(candidates) == 0 {
		candidates = []string{opts.publicIP}
		if opts.publicIP == "" {
			candidates = []string{opts.publicIPv6}
		}
	}
	var failures []error
	for _, candidate := range candidates {
		found, err := ipmatch.LookupExtIface(candidate, "", "", stack, public)
		if err == nil && found != nil {
			return found, nil
		}
		failures = append(failures, fmt.Errorf("no usable interface for %q: %w", candidate, err))
	}
	return nil, errors.Join(failures...)
}

// serveHealth answers /healthz always and /readyz once ready is set, until ctx ends.
func serveHealth(ctx context.Context, address string, ready *atomic.Bool) {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/readyz", func(answer http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			klog.Exitf("cannot serve health at %s: %v", address, err)
		}
	}()
}
