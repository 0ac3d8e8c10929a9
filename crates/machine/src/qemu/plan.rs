//! QEMU's arguments as a pure function of what is wanted.
//!
//! All paths but those of the tools tree are relative to the machine's folder, where QEMU is
//! started: sockets then fit their 107 bytes wherever the folder is.

use std::{ffi::OsString, fmt::Write as _, path::PathBuf};

use crate::{Acceleration, Forward, Hardware, MachineName};

/// How a machine boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Through OVMF and the disk's boot loader, as on metal.
    Firmware,
    /// Kernel, initrd and command line of the image, without firmware.
    Kernel {
        /// The kernel's command line.
        command_line: String,
    },
}

/// What a reboot by the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReboot {
    /// The machine starts again.
    Restart,
    /// QEMU ends.
    Exit,
}

/// All that decides QEMU's arguments.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The machine's name.
    pub name: MachineName,
    /// Its hardware.
    pub hardware: Hardware,
    /// How the processors are run.
    pub acceleration: Acceleration,
    /// How it boots.
    pub boot: Boot,
    /// Its forwards, with their host ports.
    pub ports: Vec<Forward>,
    /// What a reboot does.
    pub on_reboot: OnReboot,
    /// `usr` of the tools tree.
    pub tools: PathBuf,
}

/// Files of a machine's folder, relative to it.
pub(crate) mod file {
    pub(crate) const DISK: &str = "disk.qcow2";
    pub(crate) const VARIABLES: &str = "OVMF_VARS.fd";
    pub(crate) const CONFIG: &str = "config.json";
    pub(crate) const HOST_NAME: &str = "hostname";
    pub(crate) const ROOT_KEYS: &str = "authorized_keys";
    pub(crate) const CONSOLE_LOG: &str = "console.log";
    pub(crate) const CONSOLE_SOCKET: &str = "console.sock";
    pub(crate) const EVENTS: &str = "events.jsonl";
    pub(crate) const CONTROL_SOCKET: &str = "qmp.sock";
    pub(crate) const LOG: &str = "qemu.log";
    pub(crate) const KERNEL: &str = "vmlinuz";
    pub(crate) const INITRD: &str = "initrd";
    pub(crate) const KUBECONFIG: &str = "kubeconfig";
}

impl Plan {
    /// Where the tools tree has OVMF's code and the template of its variables.
    pub fn firmware(tools: &std::path::Path) -> (PathBuf, PathBuf) {
        let folder = tools.join("share/OVMF");
        (
            folder.join("OVMF_CODE_4M.fd"),
            folder.join("OVMF_VARS_4M.fd"),
        )
    }

    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Arguments::default();
        let add = &mut arguments;
        add.pair("-name", format!("guest=lifeboat-{}", self.name));
        add.flag("-nodefaults");
        add.flag("-no-user-config");
        add.pair("-display", "none");
        for data in ["share/qemu", "share/seabios"] {
            add.pair("-L", self.tools.join(data));
        }
        add.pair("-machine", "q35,vmport=off,sata=off");
        add.pair("-accel", self.acceleration.argument());
        add.pair("-cpu", self.acceleration.cpu());
        add.pair("-smp", self.hardware.cpus.to_string());
        add.pair("-m", format!("{}M", self.hardware.memory_mib));
        self.boot_arguments(add);
        self.device_arguments(add);
        if self.on_reboot == OnReboot::Exit {
            add.flag("-no-reboot");
        }
        arguments.0
    }

    fn boot_arguments(&self, add: &mut Arguments) {
        match &self.boot {
            Boot::Firmware => {
                let (code, _) = Self::firmware(&self.tools);
                let mut drive = OsString::from("if=pflash,unit=0,format=raw,readonly=on,file=");
                drive.push(escape(code.as_os_str()));
                add.pair("-drive", drive);
                let variables = file::VARIABLES;
                add.pair(
                    "-drive",
                    format!("if=pflash,unit=1,format=raw,file={variables}"),
                );
                if let Some(more) = self.acceleration.kernel_arguments() {
                    // systemd-stub(7), "SMBIOS Type 11 Strings"; commas are doubled.
                    let more = more.replace(',', ",,");
                    add.pair(
                        "-smbios",
                        format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={more}"),
                    );
                }
            }
            Boot::Kernel { command_line } => {
                add.pair("-kernel", file::KERNEL);
                add.pair("-initrd", file::INITRD);
                let more = self.acceleration.kernel_arguments();
                let more = more.map_or_else(String::new, |more| format!(" {more}"));
                add.pair("-append", format!("{command_line}{more}"));
            }
        }
    }

    fn device_arguments(&self, add: &mut Arguments) {
        add.pair(
            "-drive",
            format!(
                "if=none,id=disk,format=qcow2,discard=unmap,file={}",
                file::DISK
            ),
        );
        add.pair("-device", "virtio-blk-pci,drive=disk,bootindex=1");
        let mut network = "user,id=network,ipv6=off".to_owned();
        for Forward {
            host,
            guest,
            protocol,
            ..
        } in &self.ports
        {
            let _ = write!(network, ",hostfwd={protocol}:127.0.0.1:{host}-:{guest}");
        }
        add.pair("-netdev", network);
        // Without its boot ROM: the firmware is not to look for a server on the network.
        add.pair("-device", "virtio-net-pci,netdev=network,romfile=");
        add.pair("-device", "virtio-rng-pci");
        add.pair("-device", "virtio-serial-pci");
        add.pair(
            "-chardev",
            format!("file,id=report,append=on,path={}", file::EVENTS),
        );
        add.pair(
            "-device",
            "virtserialport,chardev=report,name=io.lifeboat.report",
        );
        add.pair(
            "-chardev",
            format!(
                "socket,id=console,server=on,wait=off,path={},logfile={},logappend=on",
                file::CONSOLE_SOCKET,
                file::CONSOLE_LOG
            ),
        );
        add.pair("-serial", "chardev:console");
        add.pair(
            "-chardev",
            format!(
                "socket,id=control,server=on,wait=off,path={}",
                file::CONTROL_SOCKET
            ),
        );
        add.pair("-mon", "chardev=control,mode=control");
        // What this host gives each machine stands below any configuration: a name for a node
        // that is given none, and a key beside those that it is given
        // (systemd.system-credentials(7)).
        for (name, file) in [
            ("opt/lifeboat/config", file::CONFIG),
            ("opt/lifeboat/hostname", file::HOST_NAME),
            (
                "opt/io.systemd.credentials/ssh.authorized_keys.root",
                file::ROOT_KEYS,
            ),
        ] {
            add.pair("-fw_cfg", format!("name={name},file={file}"));
        }
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.into());
    }

    fn pair(&mut self, flag: &str, value: impl Into<OsString>) {
        self.0.push(flag.into());
        self.0.push(value.into());
    }
}

/// A path inside a list of options: commas are doubled (qemu(1), "file=").
fn escape(path: &std::ffi::OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut escaped = Vec::new();
    for byte in path.as_bytes() {
        escaped.push(*byte);
        if *byte == b',' {
            escaped.push(b',');
        }
    }
    OsString::from_vec(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(boot: Boot) -> Plan {
        Plan {
            name: "one".parse().unwrap(),
            hardware: Hardware {
                cpus: 2,
                memory_mib: 4096,
                disk_mib: 20_480,
            },
            acceleration: Acceleration::Emulation,
            boot,
            ports: vec![Forward {
                host: 2222,
                ..Forward::tcp("ssh", 22)
            }],
            on_reboot: OnReboot::Restart,
            tools: "/tools/a,b/usr".into(),
        }
    }

    fn lines(plan: &Plan) -> String {
        let mut text = String::new();
        for argument in plan.arguments() {
            let argument = argument.to_string_lossy();
            let end = if argument.starts_with('-') { '\n' } else { ' ' };
            text.push(end);
            text.push_str(&argument);
        }
        text
    }

    #[test]
    fn firmware_boot() {
        insta::assert_snapshot!(lines(&plan(Boot::Firmware)));
    }

    #[test]
    fn kernel_boot_under_kvm_that_ends_at_a_reboot() {
        let mut plan = plan(Boot::Kernel {
            command_line: "console=ttyS0 roothash=00".into(),
        });
        plan.acceleration = Acceleration::Kvm;
        plan.on_reboot = OnReboot::Exit;
        insta::assert_snapshot!(lines(&plan));
    }
}
