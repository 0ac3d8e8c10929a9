//! Which modules an initrd gets, and when its init loads them.

use std::fmt::Write as _;

use super::module::Module;

/// When the init of the initrd loads a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At each boot.
    Always,
    /// When a device is there that it is for.
    Device,
}

/// Whether a kernel may lack a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it no node boots: built into the kernel, or there as a module.
    Must,
    /// The cloud kernel, for instance, leaves out what only metal has.
    May,
}

/// A module to put into an initrd, with all that it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name with `_`, or `-`.
    pub name: &'static str,
    /// When it is loaded.
    pub when: When,
    /// Whether the kernel may lack it.
    pub need: Need,
}

const fn wanted(name: &'static str, when: When, need: Need) -> Wanted {
    Wanted { name, when, need }
}

/// What finds the root and the state partition on the usual machines: virtio, `NVMe`, SATA, USB,
/// SD cards, and the disks of the large hypervisors.
pub const MODULES: &[Wanted] = &[
    wanted("dm_verity", When::Always, Need::Must),
    // dm-verity asks for the hash by name, and the faster code has to be there by then.
    wanted("sha256_ssse3", When::Always, Need::May),
    wanted("crc32c_intel", When::Always, Need::May),
    wanted("erofs", When::Always, Need::Must),
    wanted("overlay", When::Always, Need::Must),
    wanted("ext4", When::Always, Need::Must),
    wanted("loop", When::Always, Need::Must),
    // The node's configuration, and the reports to the host.
    wanted("qemu_fw_cfg", When::Device, Need::May),
    wanted("virtio_pci", When::Device, Need::May),
    wanted("virtio_mmio", When::Device, Need::May),
    wanted("virtio_console", When::Device, Need::May),
    wanted("virtio_rng", When::Device, Need::May),
    // The first boot waits for an address: udev loads these half a minute later under emulation.
    wanted("virtio_net", When::Device, Need::May),
    wanted("vmxnet3", When::Device, Need::May),
    wanted("hv_netvsc", When::Device, Need::May),
    wanted("xen_netfront", When::Device, Need::May),
    wanted("e1000e", When::Device, Need::May),
    wanted("virtio_blk", When::Device, Need::Must),
    wanted("virtio_scsi", When::Device, Need::May),
    wanted("nvme", When::Device, Need::May),
    wanted("ahci", When::Device, Need::May),
    wanted("ata_piix", When::Device, Need::May),
    wanted("sd_mod", When::Device, Need::May),
    wanted("xhci_pci", When::Device, Need::May),
    wanted("ehci_pci", When::Device, Need::May),
    wanted("usb_storage", When::Device, Need::May),
    wanted("uas", When::Device, Need::May),
    wanted("sdhci_pci", When::Device, Need::May),
    wanted("sdhci_acpi", When::Device, Need::May),
    wanted("mmc_block", When::Device, Need::May),
    wanted("vmw_pvscsi", When::Device, Need::May),
    wanted("mptspi", When::Device, Need::May),
    wanted("hv_storvsc", When::Device, Need::May),
    wanted("xen_blkfront", When::Device, Need::May),
    wanted("megaraid_sas", When::Device, Need::May),
    wanted("mpt3sas", When::Device, Need::May),
];

/// The text of `load.list`: a line for each module, each after those that it needs, with its
/// path below the modules' folder and then either `always` or `alias` and the patterns of the
/// devices it is for. A module that others need has their patterns, too, so that whoever reads
/// the list need not know about dependencies.
pub(super) fn text(modules: &[Module]) -> String {
    let mut text = String::new();
    for module in modules {
        let _ = match &module.patterns {
            None => writeln!(text, "{} always", module.path),
            Some(patterns) => {
                let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
                writeln!(text, "{} alias {}", module.path, patterns.join(" "))
            }
        };
    }
    text
}
