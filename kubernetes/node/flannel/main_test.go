package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheDaemonsFileBecomesABridge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subnet.env")
	text := "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := load([]byte(`{"cniVersion": "1.0.0", "name": "cbr0", "type": "flannel", "delegate": {"hairpinMode": true}}`))
	if err != nil {
		t.Fatal(err)
	}
	env, err := readSubnetEnv(path)
	if err != nil {
		t.Fatal(err)
	}
	kind, delegate, err := delegateConf(conf, env)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"cniVersion":"1.0.0","hairpinMode":true,"ipMasq":false,` +
		`"ipam":{"ranges":[[{"subnet":"10.244.3.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}],"type":"host-local"},` +
		`"isGateway":true,"mtu":1450,"name":"cbr0","type":"bridge"}`
	if kind != "bridge" || string(delegate) != want {
		t.Errorf("%s %s", kind, delegate)
	}
}

func TestABadFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subnet.env")
	for _, text := range []string{
		"",
		"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\n",
		"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=nonsense\nFLANNEL_MTU=1450\n",
		"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=x\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if env, err := readSubnetEnv(path); err == nil {
			t.Errorf("%q gave %+v", text, env)
		}
	}
}
