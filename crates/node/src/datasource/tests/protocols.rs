use serde_json::json;

use super::{
    Bench, check,
    images::{Names, iso},
    namespace::{hosts, with_addresses},
    server::{Reply, Request, Server, ok, status},
};

const LINK_LOCAL: [u8; 4] = [169, 254, 169, 254];
const AT: &str = "169.254.169.254:80";
const DATA: &str = "#cloud-config\nk3os: {token: s3cret}\n";

macro_rules! here {
    ($name:literal) => {
        concat!(module_path!(), "::", $name)
    };
}

/// The tree of EC2 below `latest`.
fn tree(path: &str) -> Reply {
    match path {
        "/latest/meta-data/instance-id" => ok("i-1"),
        "/latest/meta-data/local-hostname" => ok("n1"),
        "/latest/meta-data/hostname" => ok("n1.ec2.internal"),
        "/latest/meta-data/public-keys/" => ok("0=first\n7=second"),
        "/latest/meta-data/public-keys/0/openssh-key" => ok("ssh-ed25519 AAAA a\n"),
        "/latest/meta-data/public-keys/7/openssh-key" => ok("ssh-ed25519 BBBB b"),
        "/latest/user-data" => ok(DATA),
        _ => status(404),
    }
}

fn imds_v2(request: &Request) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("PUT", "/latest/api/token") => match request
            .header("x-aws-ec2-metadata-token-ttl-seconds")
            .parse()
        {
            Ok(1..=21600) => ok("AQAEAtoken=="),
            _ => status(400),
        },
        ("GET", path) if request.header("x-aws-ec2-metadata-token") == "AQAEAtoken==" => tree(path),
        ("GET", _) => status(401),
        _ => status(405),
    }
}

#[test]
fn aws_is_read_with_session_tokens() {
    with_addresses(
        here!("aws_is_read_with_session_tokens"),
        &[LINK_LOCAL],
        || {
            let server = Server::start(AT, imds_v2);
            let bench = Bench::new().dmi("sys_vendor", "Amazon EC2");
            check(&bench, &bench.run(&["aws"]), "aws", DATA);
            assert_eq!(bench.got("hostname").unwrap(), "n1.ec2.internal\n");
            assert_eq!(server.log()[0], "PUT /latest/api/token");
            // The same where the firmware says nothing, under another name.
            let bench = Bench::new();
            check(&bench, &bench.run(&["gcp", "EC2"]), "aws", DATA);
        },
    );
}

#[test]
fn aws_version_1_is_read_only_where_allowed() {
    with_addresses(
        here!("aws_version_1_is_read_only_where_allowed"),
        &[LINK_LOCAL],
        || {
            Server::start(AT, |request| {
                if request.method == "GET" {
                    tree(&request.path)
                } else {
                    status(405)
                }
            });
            let bench = Bench::new().dmi("sys_vendor", "Amazon EC2");
            let outcome = bench.run(&["aws"]);
            assert_eq!(outcome.provider, None);
            assert!(
                outcome.steps[0].message.contains("aws:imdsv1"),
                "{outcome:#?}"
            );
            assert!(bench.got("provider").is_none());
            check(&bench, &bench.run(&["aws:imdsv1"]), "aws", DATA);
        },
    );
}

#[test]
fn gcp_is_read_with_its_flavor() {
    with_addresses(here!("gcp_is_read_with_its_flavor"), &[LINK_LOCAL], || {
        Server::start(AT, |request| {
            let flavored = |body: &str| {
                Reply::Whole(200, vec![("Metadata-Flavor", "Google".into())], body.into())
            };
            if request.header("metadata-flavor") != "Google"
                || request.headers.contains_key("x-forwarded-for")
            {
                return status(403);
            }
            match request
                .path
                .strip_prefix("/computeMetadata/v1/")
                .unwrap_or_default()
            {
                "instance/id" => flavored("i-1"),
                "instance/hostname" => flavored("n1.c.project.internal"),
                "instance/attributes/ssh-keys" => flavored(
                    "u:ssh-ed25519 AAAA a\nu:ssh-rsa OLD google-ssh {\"userName\":\"u\",\"expireOn\":\"2020-01-01T00:00:00+0000\"}",
                ),
                "project/attributes/ssh-keys" => flavored("v:ssh-ed25519 BBBB b"),
                "instance/attributes/user-data" => {
                    flavored("I2Nsb3VkLWNvbmZpZwprM29zOiB7dG9rZW46IHMzY3JldH0K")
                }
                "instance/attributes/user-data-encoding" => flavored("base64"),
                _ => status(404),
            }
        });
        let bench = Bench::new().dmi("product_name", "Google Compute Engine");
        check(&bench, &bench.run(&["gcp"]), "gcp", DATA);
        assert_eq!(bench.got("hostname").unwrap(), "n1.c.project.internal\n");
    });
}

#[test]
fn azure_is_read_and_told_that_the_machine_is_up() {
    let name = here!("azure_is_read_and_told_that_the_machine_is_up");
    with_addresses(name, &[LINK_LOCAL, [168, 63, 129, 16]], || {
        Server::start(AT, |request| {
            if request.header("metadata") != "true" {
                return status(400);
            }
            match request.path.as_str() {
                "/metadata/instance?api-version=2021-08-01" => ok(json!({"compute": {
                    "vmId": "i-1", "name": "other", "osProfile": {"computerName": "n1"},
                    "publicKeys": [
                        {"keyData": "ssh-ed25519 AAAA a\r\n", "path": "/home/u/.ssh/authorized_keys"},
                        {"keyData": "ssh-ed25519 BBBB b", "path": ""},
                    ],
                    "userData": "I2Nsb3VkLWNvbmZpZwprM29zOiB7dG9rZW46IHMzY3JldH0K", "customData": "",
                }}).to_string()),
                _ => status(400),
            }
        });
        let wire = Server::start("168.63.129.16:80", |request| {
            if request.header("x-ms-version") != "2012-11-30" {
                return status(400);
            }
            match (request.method.as_str(), request.path.as_str()) {
                ("GET", "/machine/?comp=goalstate") => ok(
                    "<?xml version=\"1.0\"?><GoalState><Version>2012-11-30</Version><Incarnation>1</Incarnation>\
                     <Container><ContainerId>c-1</ContainerId><RoleInstanceList><RoleInstance>\
                     <InstanceId>r-1</InstanceId></RoleInstance></RoleInstanceList></Container></GoalState>",
                ),
                ("POST", "/machine?comp=health")
                    if [
                        "<GoalStateIncarnation>1<",
                        "<ContainerId>c-1<",
                        "<InstanceId>r-1<",
                        "<State>Ready<",
                    ]
                    .iter()
                    .all(|part| request.body.contains(part))
                        && request.header("content-type").starts_with("text/xml") =>
                {
                    ok("")
                }
                _ => status(400),
            }
        });
        let azure = || Bench::new().dmi("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77");
        let bench = azure();
        check(&bench, &bench.run(&["azure"]), "azure", DATA);
        assert_eq!(
            wire.log(),
            ["GET /machine/?comp=goalstate", "POST /machine?comp=health"]
        );
        // Custom data of the provisioning medium goes before user data.
        let xml = b"<Environment xmlns=\"e\"><wa:X><HostName>no</HostName><CustomData>IyEvYmluL3NoCg==</CustomData></wa:X></Environment>";
        let bench = azure().device("sr0", &iso("OVF", &[("ovf-env.xml", xml)], Names::Joliet));
        check(&bench, &bench.run(&["azure"]), "azure", "#!/bin/sh\n");
    });
}

fn openstack_metadata() -> String {
    json!({
        "uuid": "i-1", "hostname": "n1", "name": "server", "admin_pass": "s3cret",
        "public_keys": {"mine": "ssh-ed25519 AAAA a\n"},
        "keys": [{"type": "ssh", "name": "x", "data": "ssh-ed25519 BBBB b"}, {"type": "x509", "data": "no"}],
    })
    .to_string()
}

#[test]
fn openstack_is_read_from_drive_or_service() {
    with_addresses(
        here!("openstack_is_read_from_drive_or_service"),
        &[LINK_LOCAL],
        || {
            let server = Server::start(AT, |request| match request.path.as_str() {
                "/openstack/latest/meta_data.json" => ok(openstack_metadata()),
                "/openstack/latest/user_data" => ok(DATA),
                "/openstack/latest/network_data.json" => ok(r#"{"links": []}"#),
                _ => status(404),
            });
            let bench = Bench::new().dmi("product_name", "OpenStack Nova");
            check(&bench, &bench.run(&["openstack"]), "openstack", DATA);
            assert_eq!(bench.got("network_data.json").unwrap(), "{\"links\": []}");
            let asked = server.log().len();
            let drive = iso(
                "config-2",
                &[
                    (
                        "openstack/latest/meta_data.json",
                        openstack_metadata().as_bytes(),
                    ),
                    ("openstack/latest/user_data", DATA.as_bytes()),
                ],
                Names::RockRidge,
            );
            let bench = Bench::new().device("vdb", &drive);
            check(&bench, &bench.run(&["openstack"]), "openstack", DATA);
            assert_eq!(server.log().len(), asked);
        },
    );
}

#[test]
fn openstack_falls_back_to_the_tree_of_ec2() {
    with_addresses(
        here!("openstack_falls_back_to_the_tree_of_ec2"),
        &[LINK_LOCAL],
        || {
            Server::start(AT, |request| tree(&request.path));
            let bench = Bench::new().dmi("product_name", "OpenStack Nova");
            check(&bench, &bench.run(&["openstack"]), "openstack", DATA);
        },
    );
}

#[test]
fn digitalocean_hetzner_and_vultr_are_read() {
    with_addresses(
        here!("digitalocean_hetzner_and_vultr_are_read"),
        &[LINK_LOCAL],
        || {
            Server::start(AT, |request| match request.path.as_str() {
                "/metadata/v1.json" => {
                    ok(json!({"droplet_id": 1, "hostname": "n1", "user_data": DATA,
                "public_keys": ["ssh-ed25519 AAAA a", "ssh-ed25519 BBBB b"]})
                    .to_string())
                }
                "/hetzner/v1/metadata" => ok(
                    "hostname: n1\ninstance-id: i-1\npublic-keys:\n- ssh-ed25519 AAAA a\n- ssh-ed25519 BBBB b\n\
                network-config:\n  version: 1\n  config: [{type: physical, name: eth0}]\n",
                ),
                "/v1.json" if request.header("metadata-token") == "cloudinit" => ok(json!({
                "instance-v2-id": "i-1", "hostname": "n1",
                "public-keys": "ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n", "user-data": ""})
                .to_string()),
                "/hetzner/v1/userdata" | "/latest/user-data" => ok(DATA),
                _ => status(404),
            });
            let bench = Bench::new().dmi("sys_vendor", "DigitalOcean");
            let outcome = bench.run(&["digitalocean"]);
            assert_eq!(bench.got("instance_id").unwrap(), "1\n");
            fs_err::write(bench.root().join("run/config/instance_id"), "i-1\n").unwrap();
            check(&bench, &outcome, "digitalocean", DATA);
            let bench = Bench::new().dmi("sys_vendor", "Hetzner");
            check(&bench, &bench.run(&["hetzner"]), "hetzner", DATA);
            let network: serde_json::Value =
                serde_json::from_str(&bench.got("network-config").unwrap()).unwrap();
            assert_eq!(network["config"][0]["name"], "eth0");
            assert!(
                bench
                    .got("lifeboat.yaml")
                    .unwrap()
                    .contains("\"name\": \"eth0\"")
            );
            let bench = Bench::new().dmi("sys_vendor", "Vultr");
            check(&bench, &bench.run(&["vultr"]), "vultr", DATA);
        },
    );
}

#[test]
fn scaleway_is_asked_from_a_low_port() {
    with_addresses(
        here!("scaleway_is_asked_from_a_low_port"),
        &[[169, 254, 42, 42]],
        || {
            Server::start("169.254.42.42:80", |request| match request.path.as_str() {
                "/conf?format=json" => ok(json!({"id": "i-1", "hostname": "n1",
                "ssh_public_keys": [{"key": "ssh-ed25519 AAAA a", "fingerprint": "f"}],
                "tags": ["x", "AUTHORIZED_KEY=ssh-ed25519_BBBB_b"]})
                .to_string()),
                path if path.starts_with("/user_data") && request.from >= 1024 => status(403),
                "/user_data/cloud-init" => ok(DATA),
                _ => status(404),
            });
            let bench = Bench::new().dmi("sys_vendor", "Scaleway");
            check(&bench, &bench.run(&["scaleway"]), "scaleway", DATA);
            // Again at once: the first port is not free yet.
            check(&bench, &bench.run(&["scaleway"]), "scaleway", DATA);
        },
    );
}

#[test]
fn packet_is_found_by_name() {
    with_addresses(
        here!("packet_is_found_by_name"),
        &[[192, 80, 8, 124]],
        || {
            hosts("127.0.0.1 localhost\n192.80.8.124 metadata.platformequinix.com\n");
            let user_data = std::sync::Arc::new(std::sync::Mutex::new(DATA));
            let shown = std::sync::Arc::clone(&user_data);
            Server::start("192.80.8.124:80", move |request| {
                match request.path.as_str() {
                    "/metadata" => ok(json!({"id": "i-1", "hostname": "n1",
                "ssh_keys": ["ssh-ed25519 AAAA a", "ssh-ed25519 BBBB b"]})
                    .to_string()),
                    "/userdata" => ok(*shown.lock().unwrap()),
                    _ => status(404),
                }
            });
            let bench = Bench::new().dmi("sys_vendor", "Dell Inc.");
            check(&bench, &bench.run(&["packet"]), "packet", DATA);
            *user_data.lock().unwrap() = "#!ipxe\nboot\n";
            let outcome = bench.run(&["equinix"]);
            assert_eq!(outcome.failures().count(), 0);
            assert_eq!(bench.got("userdata"), None);
        },
    );
}

#[test]
fn firecracker_is_read_with_session_tokens() {
    with_addresses(
        here!("firecracker_is_read_with_session_tokens"),
        &[LINK_LOCAL],
        || {
            Server::start(AT, |request| {
                match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/latest/api/token") => match request.header("x-metadata-token-ttl-seconds").parse() {
                Ok(1..=21600) => ok("token"),
                _ => status(400),
            },
            ("GET", _) if request.header("x-metadata-token") != "token" => status(401),
            ("GET", "/latest") if request.header("accept") == "application/json" => ok(json!({
                "meta-data": {"instance-id": "i-1", "local-hostname": "n1", "public-keys": {
                    "0": {"openssh-key": "ssh-ed25519 AAAA a"}, "1": {"openssh-key": "ssh-ed25519 BBBB b"}}},
                "user-data": DATA}).to_string()),
            _ => status(404),
        }
            });
            let bench = Bench::new();
            check(
                &bench,
                &bench.run(&["aws", "firecracker"]),
                "firecracker",
                DATA,
            );
        },
    );
}

#[test]
fn a_seed_is_read_from_its_url() {
    with_addresses(here!("a_seed_is_read_from_its_url"), &[LINK_LOCAL], || {
        Server::start("127.0.0.1:8000", |request| match request.path.as_str() {
            "/seed/7/meta-data" => {
                ok("instance-id: i-1\npublic-keys: [ssh-ed25519 AAAA a, ssh-ed25519 BBBB b]\n")
            }
            "/seed/7/user-data" => ok(DATA),
            "/seed/7/network-config" => ok("version: 2\nethernets: {eth0: {dhcp4: true}}\n"),
            "/moved/meta-data" => Reply::Whole(
                301,
                vec![("Location", "http://169.254.169.254/".into())],
                Vec::new(),
            ),
            _ => status(404),
        });
        let mut bench = Bench::new().dmi("product_serial", "7");
        bench.environment.command_line =
            "quiet ds=nocloud;s=http://127.0.0.1:8000/seed/__dmi.system-serial-number__/;h=n1"
                .to_owned();
        check(&bench, &bench.run(&["nocloud"]), "nocloud", DATA);
        assert_eq!(
            bench.got("network-config").unwrap(),
            "version: 2\nethernets: {eth0: {dhcp4: true}}\n"
        );
        let bench = Bench::new().dmi(
            "product_serial",
            "ds=nocloud-net;s=http://127.0.0.1:8000/seed/7;h=n1",
        );
        check(&bench, &bench.run(&["nocloud"]), "nocloud", DATA);
        let bench = Bench::new().dmi("product_serial", "ds=nocloud;h=n1");
        check(
            &bench,
            &bench.run(&["nocloud=http://127.0.0.1:8000/seed/7/"]),
            "nocloud",
            DATA,
        );
        for (seed, why) in [
            ("http://u:pw@127.0.0.1:8000/none", "neither"),
            ("ftp://x/", "no http"),
            ("http://127.0.0.1:8000/moved", "not followed"),
        ] {
            let mut bench = Bench::new();
            bench.environment.patience = std::time::Duration::ZERO;
            bench.environment.command_line = format!("ds=nocloud;s={seed}");
            let outcome = bench.run(&["nocloud"]);
            assert!(outcome.steps[0].message.contains(why), "{outcome:#?}");
            assert!(!outcome.steps[0].message.contains("pw"));
        }
    });
}
