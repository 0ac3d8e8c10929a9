//! Recorded boots, played to the watch.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn step(at: f64, phase: &str, step: &str, state: StepState) -> Event {
    Event::Step {
        at,
        phase: phase.into(),
        step: step.into(),
        state,
        message: String::new(),
    }
}

fn readiness(nodes: bool, pods: bool) -> Readiness {
    Readiness {
        nodes,
        pods,
        pods_ready: (3, 7),
        lacks: vec!["pod kube-system/coredns-1 is waiting: Creating".into()],
    }
}

fn failed(watch: &Watch, now: u64) -> Failure {
    match watch.verdict(seconds(now)) {
        Verdict::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// Power-on to userspace: 10 s of firmware, events as a node sends them.
fn booted() -> Watch {
    let mut watch = Watch::new(Goal::Pods, seconds(300));
    watch.console("BdsDxe: starting Boot0001", seconds(5));
    watch.console("[    0.000000] Linux version 6.12", seconds(10));
    watch.event(
        &step(3.0, "initrd", "root", StepState::Started),
        seconds(13),
    );
    watch.event(
        &step(6.0, "initrd", "prepare", StepState::Done),
        seconds(16),
    );
    watch
}

#[test]
fn a_good_boot_gives_its_stages_in_seconds() {
    let mut watch = booted();
    for event in [
        step(8.0, "kubeadm", "files", StepState::Started),
        step(10.0, "userspace", "services", StepState::Done),
        step(50.0, "kubeadm", "api", StepState::Done),
        step(53.0, "addons", "flannel", StepState::Done),
    ] {
        watch.event(&event, seconds(65));
    }
    watch.api(Ok(readiness(false, false)), seconds(65));
    assert!(matches!(watch.verdict(seconds(65)), Verdict::Waiting(_)));
    watch.api(Ok(readiness(true, false)), seconds(75));
    assert!(matches!(watch.verdict(seconds(75)), Verdict::Waiting(_)));
    watch.api(Ok(readiness(true, true)), seconds(90));
    let Verdict::Ready(timeline) = watch.verdict(seconds(400)) else {
        panic!("ready counts even if it is asked for after the deadline");
    };
    assert_eq!(
        timeline.seconds(),
        [
            ("firmware", 10.0),
            ("kernel", 6.0),
            ("userspace", 4.0),
            ("kubeadm", 40.0),
            ("ready", 15.0),
            ("pods", 15.0)
        ]
    );
    assert!((timeline.total() - 90.0).abs() < f64::EPSILON);
}

#[test]
fn a_panic_is_reported_with_what_the_console_said_after_it() {
    let mut watch = Watch::new(Goal::Pods, seconds(300));
    watch.console(
        "[    2.6] Kernel panic - not syncing: VFS: no root",
        seconds(12),
    );
    assert!(matches!(watch.verdict(seconds(12)), Verdict::Waiting(_)));
    watch.console("[    2.7] CPU: 0 PID: 1 Comm: init", seconds(12));
    for number in 0..50 {
        watch.console(&format!("[    2.8] trace {number}"), seconds(13));
    }
    let failure = failed(&watch, 14);
    assert_eq!(failure.step, "kernel");
    assert!(failure.lines[0].contains("panic") && failure.lines[1].contains("CPU: 0"));
    assert_eq!(failure.lines.len(), 20);
    assert_eq!(
        failure.reason,
        "the kernel panicked: Kernel panic - not syncing: VFS: no root"
    );
}

#[test]
fn a_failed_report_comes_with_the_log_of_the_node() {
    let mut watch = booted();
    let event = Event::Failed {
        step: "kubeadm/init".into(),
        message: "kubeadm ended with 1".into(),
        log: vec!["error: port 6443 is in use".into()],
    };
    watch.event(&event, seconds(30));
    watch.ended("");
    let failure = failed(&watch, 30);
    assert_eq!(failure.step, "kubeadm/init");
    assert_eq!((failure.log, failure.lines.len()), (LogName::Node, 1));
}

#[test]
fn the_deadline_names_the_step_and_the_right_log() {
    let empty = Watch::new(Goal::Pods, seconds(60));
    assert_eq!(failed(&empty, 60).step, "firmware");
    assert!(
        failed(&empty, 60)
            .reason
            .contains("the console stayed empty")
    );

    let mut hangs = Watch::new(Goal::Pods, seconds(60));
    hangs.console("[    0.000000] Linux version 6.12", seconds(10));
    assert_eq!(failed(&hangs, 60).step, "kernel");
    assert_eq!(failed(&hangs, 60).lines.len(), 1);

    let mut silent = booted();
    silent.event(
        &step(10.0, "kubeadm", "init", StepState::Started),
        seconds(21),
    );
    silent.api(Err("the API server does not answer".into()), seconds(30));
    let failure = failed(&silent, 300);
    assert_eq!(failure.step, "kubeadm/init");
    assert!(failure.reason.ends_with("the API server does not answer"));

    let mut pods = booted();
    pods.api(Ok(readiness(true, false)), seconds(80));
    let failure = failed(&pods, 300);
    assert_eq!((failure.step.as_str(), failure.log), ("pods", LogName::Api));
    assert!(failure.reason.contains("coredns-1 is waiting"));
}

#[test]
fn an_ended_process_is_a_failure_at_once() {
    let mut off = booted();
    off.ended("");
    assert_eq!(failed(&off, 20).reason, "the machine powered off");
    let mut crashed = booted();
    crashed.ended("qemu-system-x86_64: warning: x\nqemu: assertion failed\n");
    let failure = failed(&crashed, 20);
    assert_eq!((failure.log, failure.lines.len()), (LogName::Qemu, 1));
}

#[test]
fn a_machine_that_goes_round_is_a_failure() {
    let mut watch = booted();
    for round in 1..=3 {
        watch.event(
            &step(9.0, "userspace", "", StepState::Started),
            seconds(30 * round),
        );
        watch.event(
            &step(2.0, "initrd", "", StepState::Started),
            seconds(30 * round + 5),
        );
    }
    assert_eq!(failed(&watch, 100).reason, "the machine restarted 3 times");
}

#[test]
fn kvm_that_stops_is_named() {
    let mut watch = booted();
    watch.qemu("KVM internal error. Suberror: 1");
    assert_eq!(failed(&watch, 17).step, "acceleration");
}

#[test]
fn a_disk_that_cannot_be_written_is_named() {
    let mut watch = booted();
    watch.state("running");
    assert!(matches!(watch.verdict(seconds(17)), Verdict::Waiting(_)));
    watch.state("io-error");
    assert!(failed(&watch, 17).reason.contains("disk full"));
}

#[test]
fn a_guest_that_restarts_is_at_its_kernel_again() {
    let mut watch = booted();
    watch.console("[    0.000000] Linux version 6.12", seconds(30));
    assert_eq!(failed(&watch, 300).step, "kernel");
}

#[test]
fn a_hang_with_a_quiet_console_shows_the_steps_of_the_node() {
    let mut watch = Watch::new(Goal::Pods, seconds(30)).direct_kernel();
    watch.event(&step(3.0, "initrd", "state", StepState::Done), seconds(4));
    watch.event(
        &step(3.1, "initrd", "boot_cmd", StepState::Started),
        seconds(4),
    );
    let failure = failed(&watch, 30);
    assert_eq!(failure.step, "initrd/boot_cmd");
    assert_eq!(failure.log, LogName::Events);
    assert_eq!(
        failure.lines,
        ["3.0 s: initrd/state done", "3.1 s: initrd/boot_cmd started"]
    );
}

#[test]
fn a_worker_is_ready_when_it_says_so() {
    let mut watch = booted();
    watch.event(
        &step(10.0, "userspace", "services", StepState::Done),
        seconds(20),
    );
    watch.event(
        &step(11.0, "kubeadm", "server", StepState::Started),
        seconds(21),
    );
    watch.event(
        &step(12.0, "kubeadm", "join", StepState::Started),
        seconds(22),
    );
    watch.event(&step(60.0, "kubeadm", "join", StepState::Done), seconds(70));
    watch.event(&step(70.0, "ready", "node", StepState::Done), seconds(80));
    assert!(matches!(watch.verdict(seconds(81)), Verdict::Waiting(_)));
    watch.event(&step(80.0, "ready", "pods", StepState::Done), seconds(90));
    assert!(matches!(watch.verdict(seconds(91)), Verdict::Ready(_)));
}
