// Command flannel is the CNI plugin of the same name: it reads the node's subnet, which the
// flannel daemon wrote, and lets another plugin (bridge, if the configuration names none) make
// the interface from it. The configuration it hands on is kept, as removing an interface has to
// work when the daemon's file is gone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

const (
	defaultSubnetFile = "/run/flannel/subnet.env"
	defaultDataDir    = "/var/lib/cni/flannel"
)

// netConf is the plugin's configuration.
type netConf struct {
	types.NetConf
	SubnetFile string         `json:"subnetFile"`
	DataDir    string         `json:"dataDir"`
	Delegate   map[string]any `json:"delegate"`
}

// subnetEnv is what the daemon wrote.
type subnetEnv struct {
	networks   []string
	subnets    []netip.Prefix
	mtu        int
	masquerade bool
}

func main() {
	skel.PluginMainFuncs(
		skel.CNIFuncs{Add: add, Check: check, Del: del, Status: status},
		version.All, "CNI plugin flannel",
	)
}

func load(input []byte) (*netConf, error) {
	conf := &netConf{SubnetFile: defaultSubnetFile, DataDir: defaultDataDir}
	if err := json.Unmarshal(input, conf); err != nil {
		return nil, fmt.Errorf("cannot read the network configuration: %w", err)
	}
	return conf, nil
}

// readSubnetEnv reads the daemon's file, lines of NAME=VALUE.
func readSubnetEnv(path string) (*subnetEnv, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("flannel's daemon has not written the node's subnet yet: %w", err)
	}
	env := &subnetEnv{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK":
			env.networks = append(env.networks, strings.Split(value, ",")...)
		case "FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET":
			// The daemon writes the address of the bridge, and the length of the prefix.
			subnet, err := netip.ParsePrefix(value)
			if err != nil {
				return nil, fmt.Errorf("%s: bad subnet: %w", path, err)
			}
			env.subnets = append(env.subnets, subnet.Masked())
		case "FLANNEL_MTU":
			if env.mtu, err = strconv.Atoi(value); err != nil {
				return nil, fmt.Errorf("%s: bad MTU: %w", path, err)
			}
		case "FLANNEL_IPMASQ":
			env.masquerade = value == "true"
		}
	}
	if len(env.subnets) == 0 || len(env.networks) == 0 || env.mtu == 0 {
		return nil, fmt.Errorf("%s lacks the network, the subnet or the MTU", path)
	}
	return env, nil
}

// delegateConf is the configuration of the plugin that makes the interface.
func delegateConf(conf *netConf, env *subnetEnv) (kind string, delegate []byte, err error) {
	made := map[string]any{}
	for key, value := range conf.Delegate {
		made[key] = value
	}
	set := func(key string, value any) {
		if _, named := made[key]; !named {
			made[key] = value
		}
	}
	set("type", "bridge")
	set("ipMasq", !env.masquerade) // once is enough, and the daemon goes first
	set("mtu", env.mtu)
	if made["type"] == "bridge" {
		set("isGateway", true)
	}
	made["name"] = conf.Name
	made["cniVersion"] = conf.CNIVersion
	ranges, routes := [][]map[string]string{}, []map[string]string{}
	for _, subnet := range env.subnets {
		ranges = append(ranges, []map[string]string{{"subnet": subnet.String()}})
	}
	for _, network := range env.networks {
		routes = append(routes, map[string]string{"dst": network})
	}
	made["ipam"] = map[string]any{"type": "host-local", "ranges": ranges, "routes": routes}
	kind, ok := made["type"].(string)
	if !ok {
		return "", nil, errors.New("`delegate.type` is not a name")
	}
	delegate, err = json.Marshal(made)
	return kind, delegate, err
}

func add(args *skel.CmdArgs) error {
	conf, err := load(args.StdinData)
	if err != nil {
		return err
	}
	env, err := readSubnetEnv(conf.SubnetFile)
	if err != nil {
		return err
	}
	kind, delegate, err := delegateConf(conf, env)
	if err != nil {
		return err
	}
	if err := save(conf.DataDir, args.ContainerID, delegate); err != nil {
		return err
	}
	result, err := invoke.DelegateAdd(context.Background(), kind, delegate, nil)
	if err != nil {
		return err
	}
	return types.PrintResult(result, conf.CNIVersion)
}

// save keeps a configuration for the removal; a whole file or none.
func save(folder, container string, delegate []byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	path := filepath.Join(folder, container)
	if err := os.WriteFile(path+".tmp", delegate, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// saved returns the configuration that was kept, and the plugin it is for.
func saved(args *skel.CmdArgs) (path, kind string, delegate []byte, err error) {
	conf, err := load(args.StdinData)
	if err != nil {
		return "", "", nil, err
	}
	path = filepath.Join(conf.DataDir, args.ContainerID)
	delegate, err = os.ReadFile(path)
	if err != nil {
		return path, "", nil, err
	}
	var header struct {
		Type string `json:"type"`
	}
	err = json.Unmarshal(delegate, &header)
	return path, header.Type, delegate, err
}

func check(args *skel.CmdArgs) error {
	_, kind, delegate, err := saved(args)
	if err != nil {
		return err
	}
	var withResult, now map[string]any
	if err := json.Unmarshal(delegate, &withResult); err != nil {
		return err
	}
	if err := json.Unmarshal(args.StdinData, &now); err != nil {
		return err
	}
	withResult["prevResult"] = now["prevResult"]
	if delegate, err = json.Marshal(withResult); err != nil {
		return err
	}
	return invoke.DelegateCheck(context.Background(), kind, delegate, nil)
}

func del(args *skel.CmdArgs) error {
	path, kind, delegate, err := saved(args)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // never made, or removed before
	}
	if err != nil {
		return err
	}
	if err := invoke.DelegateDel(context.Background(), kind, delegate, nil); err != nil {
		return err
	}
	return os.Remove(path)
}

func status(args *skel.CmdArgs) error {
	conf, err := load(args.StdinData)
	if err != nil {
		return err
	}
	_, err = readSubnetEnv(conf.SubnetFile)
	return err
}
