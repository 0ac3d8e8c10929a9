use proptest::prelude::*;

use super::*;

fn interfaces(document: &str) -> (Json, Vec<String>) {
    let translated =
        translate(document.as_bytes()).unwrap_or_else(|why| panic!("{why}\n{document}"));
    (translated.network["interfaces"].clone(), translated.notes)
}

#[test]
fn version_2_is_translated() {
    let (got, notes) = interfaces(
        "network:
  version: 2
  renderer: networkd
  ethernets:
    id0:
      match: {macaddress: '52:54:00:AA:BB:01'}
      set-name: eth0
      wakeonlan: true
      addresses: [192.0.2.10/24, {'2001:db8::10/64': {label: x}}]
      gateway4: 192.0.2.1
      nameservers: {addresses: [192.0.2.53], search: [example.org]}
      routes: [{to: 10.0.0.0/8, via: 192.0.2.2, metric: 100, on-link: true}]
      mtu: 9000
    port1: {match: {name: enp2s0}}
    port2: {match: {name: enp3s0}}
    uplink: {dhcp4: yes, dhcp6: no, dhcp4-overrides: {route-metric: 200, use-dns: false}}
  bonds:
    bond0:
      interfaces: [port1, port2]
      parameters: {mode: 802.3ad, mii-monitor-interval: 100, lacp-rate: fast, transmit-hash-policy: layer3+4, gratuitous-arp: 1}
  vlans:
    vlan7: {id: 7, link: bond0}
  bridges:
    br0: {interfaces: [vlan7], dhcp4: false, addresses: [198.51.100.2/24], parameters: {stp: false}}
  wifis: {wlan0: {}}
",
    );
    assert_eq!(
        got,
        json!([
            {"name": "eth0", "match": {"mac": "52:54:00:aa:bb:01"},
             "addresses": ["192.0.2.10/24", "2001:db8::10/64"], "gateway": "192.0.2.1",
             "dns_nameservers": ["192.0.2.53"], "search_domains": ["example.org"],
             "routes": [{"to": "10.0.0.0/8", "via": "192.0.2.2", "metric": 100, "on_link": true}],
             "mtu": 9000, "dhcp": "false"},
            {"name": "enp2s0"}, {"name": "enp3s0"},
            {"name": "uplink", "metric": 200, "dhcp": "ipv4"},
            {"name": "bond0", "dhcp": "false", "bond": {"members": ["enp2s0", "enp3s0"], "mode": "802.3ad",
             "monitor_interval": 100, "lacp_rate": "fast", "hash_policy": "layer3+4"}},
            {"name": "vlan7", "vlan": {"id": 7, "link": "bond0"}},
            {"name": "br0", "addresses": ["198.51.100.2/24"], "dhcp": "false",
             "bridge": {"members": ["vlan7"], "stp": false}},
        ])
    );
    for part in ["wakeonlan", "use-dns", "gratuitous-arp", "wifis"] {
        assert!(
            notes.iter().any(|note| note.contains(part)),
            "{part}: {notes:?}"
        );
    }
}

#[test]
fn version_1_is_translated() {
    let (got, notes) = interfaces(
        "version: 1
config:
- {type: physical, name: eth0, mac_address: '52:54:00:12:34:56', mtu: 1450, subnets: [
    {type: static, address: 192.0.2.10, netmask: 255.255.255.0, gateway: 192.0.2.1,
     routes: [{network: 10.0.0.0, netmask: 255.0.0.0, gateway: 192.0.2.2}]},
    {type: static6, address: 2001:db8::10/64, gateway: '2001:db8::1'}]}
- {type: physical, name: eth1}
- {type: physical, name: eth2}
- {type: bond, name: bond0, bond_interfaces: [eth1, eth2], params: {bond-mode: 1, bond_miimon: 50},
   subnets: [{type: dhcp4}, {type: dhcp6}]}
- {type: vlan, name: bond0.5, vlan_link: bond0, vlan_id: 5, subnets: [{type: manual}]}
- {type: bridge, name: br0, bridge_interfaces: [eth3], params: {bridge_stp: 'off', bridge_fd: 0}}
- {type: nameserver, address: [192.0.2.53], search: [example.org]}
- {type: route, destination: 172.16.0.0/12, gateway: 192.0.2.3, metric: 3}
- {type: infiniband, name: ib0}
",
    );
    assert_eq!(
        got,
        json!([
            {"name": "eth0", "match": {"mac": "52:54:00:12:34:56"}, "mtu": 1450,
             "addresses": ["192.0.2.10/24", "2001:db8::10/64"], "gateway": "192.0.2.1",
             "routes": [{"to": "10.0.0.0/8", "via": "192.0.2.2"},
                        {"to": "172.16.0.0/12", "via": "192.0.2.3", "metric": 3}],
             "gateway6": "2001:db8::1", "dhcp": "false",
             "dns_nameservers": ["192.0.2.53"], "search_domains": ["example.org"]},
            {"name": "eth1"}, {"name": "eth2"},
            {"name": "bond0", "bond": {"members": ["eth1", "eth2"], "mode": "active-backup", "monitor_interval": 50},
             "dhcp": "true", "dns_nameservers": ["192.0.2.53"], "search_domains": ["example.org"]},
            {"name": "bond0.5", "vlan": {"id": 5, "link": "bond0"}, "dhcp": "false"},
            {"name": "br0", "bridge": {"members": ["eth3"], "stp": false}, "dhcp": "false"},
            {"name": "eth3"},
        ])
    );
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn network_data_of_openstack_is_translated() {
    let plain = json!({"links": [{"id": "tap1", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:01"}],
        "networks": [{"id": "network0", "link": "tap1", "type": "ipv4_dhcp"}], "services": []});
    assert_eq!(translate_openstack(plain.to_string().as_bytes()), Ok(None));
    let full = json!({
        "links": [
            {"id": "a", "type": "phy", "ethernet_mac_address": "FA:16:3E:00:00:01"},
            {"id": "b", "type": "phy", "ethernet_mac_address": "fa:16:3e:00:00:02"},
            {"id": "c", "type": "bond", "bond_links": ["a", "b"], "bond_mode": "802.3ad", "bond_miimon": 100,
             "bond_xmit_hash_policy": "layer3+4", "ethernet_mac_address": "fa:16:3e:00:00:01"},
            {"id": "d", "type": "vlan", "vlan_link": "c", "vlan_id": 5, "vlan_mac_address": "fa:16:3e:00:00:03"},
        ],
        "networks": [
            {"link": "c", "type": "ipv4", "ip_address": "192.0.2.10", "netmask": "255.255.255.0",
             "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}]},
            {"link": "d", "type": "ipv4_dhcp"},
            {"link": "none", "type": "ipv4"},
        ],
        "services": [{"type": "dns", "address": "192.0.2.53"}],
    });
    let got = translate_openstack(full.to_string().as_bytes())
        .unwrap()
        .unwrap();
    assert_eq!(
        got.network["interfaces"],
        json!([
            {"name": "net0", "match": {"mac": "fa:16:3e:00:00:01"}},
            {"name": "net1", "match": {"mac": "fa:16:3e:00:00:02"}},
            {"name": "bond2", "bond": {"members": ["net0", "net1"], "mode": "802.3ad", "monitor_interval": 100,
             "hash_policy": "layer3+4"}, "mac": "fa:16:3e:00:00:01", "addresses": ["192.0.2.10/24"],
             "dns_nameservers": ["192.0.2.53"], "routes": [{"to": "default", "via": "192.0.2.1"}], "dhcp": "false"},
            {"name": "vlan3", "vlan": {"id": 5, "link": "bond2"}, "mac": "fa:16:3e:00:00:03", "dhcp": "ipv4"},
        ])
    );
    assert_eq!(got.notes.len(), 1, "{:?}", got.notes);
}

#[test]
fn what_is_no_network_says_why() {
    for (document, why) in [
        ("version: 3\n", "version"),
        ("- a\n", "mapping"),
        ("version: 2\n", "no interface"),
        ("version: [\n", "YAML"),
        (
            "version: 2\nethernets: {eth0: {addresses: [192.0.2.300/24]}}\n",
            "network.interfaces[0].addresses[0]",
        ),
        (
            "version: 2\nethernets: {a-name-that-is-too-long: {dhcp4: true}}\n",
            "15",
        ),
    ] {
        let error = translate(document.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{document}: {error}");
    }
}

proptest! {
    #[test]
    fn any_document_is_translated_or_refused(
        bytes: Vec<u8>,
        words in prop::collection::vec(prop::sample::select(vec![
            "version: 1", "version: 2", "config:", "ethernets:", "bonds:", " eth0:", "- type: physical",
            "  name: eth0", "  subnets:", "  - type: static", "  address: 1.2.3.4", "  netmask: /99",
            "  interfaces: [eth0]", "  dhcp4: true", "  routes: [{to: 0/0}]", "  match: {name: '*'}", "  parameters: 3",
        ]), 0..12),
    ) {
        let _ = translate(&bytes);
        let _ = translate_openstack(&bytes);
        let _ = translate(words.join("\n").as_bytes());
    }
}
