use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    Bench, Ending,
    namespace::{add_address, with_addresses},
    server::{Reply, Server, ok, status},
};

const LINK_LOCAL: [u8; 4] = [169, 254, 169, 254];
const AT: &str = "169.254.169.254:80";

macro_rules! here {
    ($name:literal) => {
        concat!(module_path!(), "::", $name)
    };
}

#[test]
fn a_fault_costs_what_it_touches_only() {
    with_addresses(
        here!("a_fault_costs_what_it_touches_only"),
        &[LINK_LOCAL],
        || {
            type Fault = fn() -> Reply;
            let fault: Arc<Mutex<Fault>> = Arc::new(Mutex::new(|| status(500)));
            let shown = Arc::clone(&fault);
            Server::start(AT, move |request| match request.path.as_str() {
                "/hetzner/v1/metadata" => {
                    ok("hostname: n1\ninstance-id: 1\npublic-keys: [ssh-ed25519 AAAA a]\n")
                }
                "/hetzner/v1/userdata" => {
                    let fault = *shown.lock().unwrap();
                    fault()
                }
                _ => status(404),
            });
            let faults: [(&str, Fault, &str); 7] = [
                ("no", || status(403), "403"),
                ("broken server", || status(503), "503"),
                ("silence", || Reply::Silence, "no answer in time"),
                ("huge", || ok(vec![b'a'; 5 << 20]), "larger than"),
                (
                    "cut off",
                    || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n#!".to_vec()),
                    "userdata",
                ),
                (
                    "garbage",
                    || Reply::Raw(b"\0\xff\r\n\r\n".to_vec()),
                    "userdata",
                ),
                (
                    "elsewhere",
                    || {
                        Reply::Whole(
                            302,
                            vec![("Location", "http://127.0.0.1/".into())],
                            Vec::new(),
                        )
                    },
                    "another server",
                ),
            ];
            for (name, reply, why) in faults {
                *fault.lock().unwrap() = reply;
                let mut bench = Bench::new().dmi("sys_vendor", "Hetzner");
                bench.environment.guess = Duration::from_millis(400);
                bench.environment.patience = Duration::from_millis(400);
                let since = Instant::now();
                let outcome = bench.run(&["hetzner"]);
                assert!(since.elapsed() < Duration::from_secs(10), "{name}");
                assert_eq!(
                    outcome.provider.as_deref(),
                    Some("hetzner"),
                    "{name}: {outcome:#?}"
                );
                let failures: Vec<_> = outcome.failures().collect();
                assert_eq!(failures.len(), 1, "{name}: {outcome:#?}");
                assert!(failures[0].message.contains(why), "{name}: {outcome:#?}");
                assert_eq!(bench.got("local_hostname").unwrap(), "n1\n");
                assert_eq!(
                    bench.got("ssh/authorized_keys").unwrap(),
                    "ssh-ed25519 AAAA a\n"
                );
                assert_eq!(bench.got("userdata"), None);
            }
        },
    );
}

#[test]
fn a_server_that_recovers_is_asked_again() {
    with_addresses(
        here!("a_server_that_recovers_is_asked_again"),
        &[LINK_LOCAL],
        || {
            let count = Mutex::new(0);
            Server::start(AT, move |request| {
                let mut count = count.lock().unwrap();
                *count += 1;
                match (*count, request.path.as_str()) {
                    (1, _) => status(503),
                    (2, _) => status(429),
                    (_, "/hetzner/v1/metadata") => ok("hostname: n1\n"),
                    _ => status(404),
                }
            });
            let bench = Bench::new().dmi("sys_vendor", "Hetzner");
            let outcome = bench.run(&["hetzner"]);
            assert_eq!(outcome.failures().count(), 0, "{outcome:#?}");
            assert_eq!(bench.got("local_hostname").unwrap(), "n1\n");
        },
    );
}

#[test]
fn the_network_may_come_late() {
    with_addresses(here!("the_network_may_come_late"), &[], || {
        let (timer, elapsed) = mpsc::channel::<()>();
        let network = thread::spawn(move || {
            let _ = elapsed.recv_timeout(Duration::from_millis(700));
            add_address(1, LINK_LOCAL.into()).unwrap();
            Server::start(AT, |request| match request.path.as_str() {
                "/hetzner/v1/metadata" => ok("hostname: n1\n"),
                _ => status(404),
            });
        });
        let bench = Bench::new().dmi("sys_vendor", "Hetzner");
        let since = Instant::now();
        let outcome = bench.run(&["hetzner"]);
        assert_eq!(outcome.provider.as_deref(), Some("hetzner"), "{outcome:#?}");
        assert!(since.elapsed() >= Duration::from_millis(700));
        network.join().unwrap();
        drop(timer);
    });
}

#[test]
fn without_a_network_it_ends_in_time() {
    with_addresses(here!("without_a_network_it_ends_in_time"), &[], || {
        let mut bench = Bench::new();
        bench.environment.guess = Duration::from_millis(300);
        let since = Instant::now();
        let names = [
            "aws",
            "gcp",
            "azure",
            "openstack",
            "digitalocean",
            "hetzner",
            "packet",
            "scaleway",
            "vultr",
            "vmware",
            "nocloud",
            "firecracker",
            "cdrom",
        ];
        let outcome = bench.run(&names);
        // All wait together, not one after the other.
        assert!(since.elapsed() < Duration::from_secs(3), "{outcome:#?}");
        assert_eq!(outcome.provider, None);
        assert_eq!(outcome.steps.len(), names.len() + 1);
        assert_eq!(outcome.failures().count(), 1);
        assert!(
            outcome.steps[0].message.contains("no route"),
            "{outcome:#?}"
        );
        assert!(bench.got("provider").is_none());
    });
}

#[test]
fn another_platform_is_not_asked() {
    with_addresses(
        here!("another_platform_is_not_asked"),
        &[LINK_LOCAL],
        || {
            let server = Server::start(AT, |_| ok("{}"));
            let bench = Bench::new().dmi("sys_vendor", "Hetzner");
            let outcome = bench.run(&[
                "aws",
                "gcp",
                "vultr",
                "digitalocean",
                "azure",
                "firecracker",
                "packet",
            ]);
            assert_eq!(server.log(), Vec::<String>::new());
            for step in &outcome.steps[..5] {
                assert_eq!(step.ending, Ending::Skipped);
                assert!(step.message.contains("Hetzner"), "{step:?}");
            }
        },
    );
}

#[test]
fn a_server_that_answers_everything_is_no_source() {
    with_addresses(
        here!("a_server_that_answers_everything_is_no_source"),
        &[LINK_LOCAL, [169, 254, 42, 42]],
        || {
            Server::start(AT, |_| ok("<html>Log in to this network</html>"));
            Server::start("169.254.42.42:80", |_| ok("<html>Log in</html>"));
            let bench = Bench::new();
            let outcome = bench.run(&[
                "gcp",
                "azure",
                "openstack",
                "digitalocean",
                "hetzner",
                "scaleway",
                "vultr",
                "firecracker",
            ]);
            assert_eq!(outcome.provider, None, "{outcome:#?}");
        },
    );
}
