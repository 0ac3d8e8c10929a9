//! The order of steps, and what a failure costs.

use proptest::prelude::*;

use super::{
    super::{again, engine},
    *,
};

/// k3OS' own orders (k3OS reference, section 2), without what is no step here.
const K3OS: [(Phase, &[&str]); 3] = [
    (
        Phase::Initrd,
        &[
            "modules",
            "sysctls",
            "hostname",
            "write_files",
            "environment",
            "init_cmd",
        ],
    ),
    (
        Phase::Boot,
        &[
            "modules",
            "sysctls",
            "hostname",
            "network",
            "password",
            "ssh_authorized_keys",
            "kubernetes",
            "write_files",
            "environment",
            "boot_cmd",
        ],
    ),
    (
        Phase::Runtime,
        &[
            "modules",
            "sysctls",
            "hostname",
            "network",
            "password",
            "ssh_authorized_keys",
            "write_files",
            "environment",
            "run_cmd",
        ],
    ),
];

#[test]
fn steps_are_in_the_order_of_k3os() {
    for (phase, wanted) in K3OS {
        let names: Vec<&str> = phase
            .steps()
            .iter()
            .map(|step| step.name())
            .filter(|name| wanted.contains(name))
            .collect();
        assert_eq!(names, wanted);
    }
}

#[test]
fn a_boot_does_nothing_twice_unless_a_command_ran_between() {
    let first = Phase::Initrd.steps();
    let quiet = again(Phase::Boot, first, &NodeConfig::default());
    assert!(!quiet.contains(&Step::Files) && quiet.contains(&Step::SshKeys));
    let busy = again(Phase::Boot, first, &config(json!({"init_cmd": ["x"]})));
    assert_eq!(busy, Phase::Boot.steps());
}

fn any_phase() -> impl Strategy<Value = Phase> {
    prop_oneof![Just(Phase::Initrd), Just(Phase::Boot), Just(Phase::Runtime)]
}

proptest! {
    #[test]
    fn any_steps_run_once_in_order_whatever_fails(
        phase in any_phase(),
        chosen in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        failing in proptest::collection::vec(any::<bool>(), 20),
    ) {
        let node = Node::new();
        let mut target = node.target(Mode::Apply);
        let chosen: Vec<Step> = chosen.iter().map(|at| *at.get(phase.steps())).collect();
        let mut ran = Vec::new();
        let mut events = Vec::new();
        let done = engine::run(phase, &chosen, &mut target, |step, _, outcome| {
            if failing[ran.len()] {
                outcome.fail("it had to");
            }
            ran.push(step);
        }, |_, event| events.push(event));
        let mut wanted: Vec<Step> = phase.steps().to_vec();
        wanted.retain(|step| chosen.contains(step));
        prop_assert_eq!(&ran, &wanted);
        prop_assert_eq!(done.len(), ran.len());
        for (index, (done, event)) in done.iter().zip(&events).enumerate() {
            prop_assert_eq!(!done.failures.is_empty(), failing[index]);
            prop_assert_eq!(event.state == crate::report::State::Failed, failing[index]);
            prop_assert_eq!(event.phase.as_str(), phase.name());
            prop_assert!(event.seconds.is_some());
        }
    }
}

#[test]
fn each_step_runs_although_all_before_it_failed() {
    let node = Node::new();
    modules(&node);
    // Nothing of the kernel is as it should be, and names of files are folders.
    fs::remove_dir_all(node.path("proc")).unwrap();
    for path in ["etc/hostname", "etc/hosts", "etc/shadow.d"] {
        fs::create_dir_all(node.path(path)).unwrap();
    }
    let mut config = full();
    config.modules = vec!["nope".parse().unwrap(), "broken".parse().unwrap()];
    config.boot_cmd = vec!["exit 3".parse().unwrap()];
    let done = node.apply(Phase::Boot, &config);
    for step in [
        Step::Modules,
        Step::Sysctls,
        Step::Hostname,
        Step::BootCommands,
    ] {
        assert!(!failures(&done, step).is_empty(), "{step:?}");
    }
    for step in [
        Step::SshKeys,
        Step::Files,
        Step::Environment,
        Step::Password,
    ] {
        assert!(failures(&done, step).is_empty(), "{step:?}: {done:?}");
    }
    assert_eq!(done.len(), Phase::Boot.steps().len());
    assert!(node.read("etc/ssh/authorized_keys.d/root").contains(KEY));
    assert_eq!(node.read("opt/a/b"), "hello");
}

#[test]
fn applying_again_changes_nothing() {
    let node = Node::new();
    modules(&node);
    let config = full();
    for of in [Phase::Initrd, Phase::Boot] {
        let done = node.apply(of, &config);
        assert!(done.iter().all(|done| done.failures.is_empty()), "{done:?}");
    }
    // As the kernel shows a module that is loaded.
    for module in ["bonding", "tls"] {
        node.write(&format!("sys/module/{module}/x"), "");
    }
    let before = node.tree();
    for of in [Phase::Boot, Phase::Runtime] {
        let done = node.apply(of, &config);
        let changed: Vec<_> = done.iter().filter(|done| done.changed > 0).collect();
        assert!(changed.is_empty(), "{changed:?}");
    }
    assert_eq!(node.tree(), before);
}
