//! The kernel modules of the initrd: what reaches a root file system on the
//! machines an image may meet, and nothing else.

use anyhow::Context as _;
use bedplate_formats::modules::{Modules, plain};
use bedplate_formats::tree::{Node, Tree, TreePath};

use super::cut::Cut;
use super::{Kernel, decompress, firmware};

/// Modules no image boots without, and why.
const ALWAYS: &[(&str, &str)] =
    &[("dm_verity", "the verified root"), ("overlay", "systemd.volatile=overlay")];

/// Modules of the EFI system partition, which an initrd writes to where there are two slots; some kernels have them
/// built in.
const ESP: &[&str] = &["vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1"];

/// Modules of an encrypted data partition; some kernels have them built in.
const ENCRYPTED: &[&str] = &[
    "dm_crypt",
    "loop",
    "xts",
    "aes",
    "aesni_intel",
    "aes_ce_blk",
    "cryptd",
    "crypto_simd",
    "sha512",
    "af_alg",
    "algif_skcipher",
];

/// Modules for machines and file systems, taken where the kernel has them:
/// kernels for clouds lack the disks of PCs.
const WHEN_THERE: &[(&str, &str)] = &[
    // File systems of a root.
    ("erofs", "root"),
    ("squashfs", "root"),
    ("ext4", "root, and data mounted early"),
    ("crypto-sha256", "dm-verity's hash, as fast as the processor can"),
    ("crypto-crc32c", "ext4, erofs"),
    // Virtual machines.
    ("virtio_pci", "QEMU, most clouds"),
    ("virtio_mmio", "Firecracker, small virtual machines"),
    ("virtio_blk", "QEMU, most clouds"),
    ("virtio_scsi", "QEMU, Google"),
    ("virtio_console", "consoles"),
    ("virtio_net", "QEMU, most clouds"),
    ("virtio_rng", "entropy before the first key"),
    ("qemu_fw_cfg", "credentials of the hypervisor"),
    ("xen_blkfront", "EC2 before Nitro"),
    ("hv_storvsc", "Hyper-V"),
    ("hv_vmbus", "Hyper-V"),
    ("vmw_pvscsi", "VMware"),
    // EC2.
    ("nvme", "EC2, PCs"),
    ("ena", "EC2's network"),
    // PCs.
    ("vmd", "NVMe behind Intel's RAID"),
    ("ahci", "SATA"),
    ("ata_piix", "old SATA, old virtual machines"),
    ("ata_generic", "old SATA"),
    ("sd_mod", "SCSI, SATA and USB disks"),
    ("usb_storage", "USB disks"),
    ("uas", "fast USB disks"),
    ("xhci_pci", "USB 3"),
    ("xhci_pci_renesas", "USB 3 of Renesas, a module of its own since 6.12"),
    ("xhci_plat_hcd", "USB 3 of boards"),
    ("ehci_pci", "USB 2"),
    ("ehci_platform", "USB 2 of boards"),
    ("ohci_pci", "USB 1"),
    ("uhci_hcd", "USB 1"),
    // Universal flash storage.
    ("ufshcd_pci", "UFS of PCs"),
    ("ufs_qcom", "UFS of Qualcomm boards"),
    ("ufs_mediatek", "UFS of MediaTek boards"),
    ("ufs_exynos", "UFS of Exynos boards"),
    ("ufs_rockchip", "UFS of Rockchip boards"),
    // Boards with memory cards.
    ("mmc_block", "memory cards"),
    ("sdhci_pci", "memory cards of PCs"),
    ("sdhci_acpi", "memory cards of PCs"),
    ("sdhci_of_arasan", "memory cards of boards"),
    ("sdhci_of_dwcmshc", "memory cards of boards"),
    ("sdhci_iproc", "memory cards of the Raspberry Pi"),
    ("sdhci_brcmstb", "memory cards of the Raspberry Pi 5"),
    ("bcm2835", "memory cards of the Raspberry Pi"),
    ("sdhci_tegra", "memory cards of Jetsons"),
    ("sdhci_esdhc_imx", "memory cards of i.MX boards"),
    ("meson_gx_mmc", "memory cards of Amlogic boards"),
    ("dw_mmc_rockchip", "memory cards of Rockchip boards"),
    ("phy_rockchip_naneng_combphy", "PCIe and USB of Rockchip boards"),
    ("pcie_rockchip_host", "NVMe of Rockchip boards"),
    ("pcie_brcmstb", "NVMe and USB of the Raspberry Pi"),
    ("raspberrypi_hwmon", "the Raspberry Pi's firmware"),
    ("reset_raspberrypi", "USB of the Raspberry Pi"),
    ("pinctrl_rp1", "Raspberry Pi 5"),
    ("tegra_xudc", "Jetsons"),
    ("phy_tegra_xusb", "Jetsons"),
    // What PID 1 asks for, trust, and people.
    ("autofs4", "automount units, asked for before any unit"),
    ("tpm_tis", "measured boot"),
    ("tpm_crb", "measured boot"),
    ("tpm_ftpm_tee", "measured boot on boards"),
    ("efivarfs", "what the boot loader passed on"),
    ("hid_generic", "Ctrl-Alt-Del on a failed boot"),
    ("usbhid", "Ctrl-Alt-Del on a failed boot"),
    ("i8042", "Ctrl-Alt-Del on a failed boot"),
    ("atkbd", "Ctrl-Alt-Del on a failed boot"),
];

/// The modules of a system's kernel.
pub(super) fn read(system: &Tree, kernel: &Kernel) -> anyhow::Result<Modules> {
    Modules::read(system, &kernel.modules)
        .with_context(|| format!("cannot read the modules of the kernel `{}`", kernel.release))
}

/// Takes the modules, uncompressed, and writes the indexes modprobe reads.
pub(super) fn take(cut: &mut Cut<'_>, kernel: &Kernel, asked: &[String]) -> anyhow::Result<()> {
    let mut modules = read(cut.system, kernel)?;
    for directory in ["/usr/lib/modprobe.d", "/usr/local/lib/modprobe.d", "/etc/modprobe.d"] {
        for (path, _) in cut.initrd.children(&directory.into()) {
            let Some(content) = cut.initrd.content(path) else { continue };
            let text = content.read().with_context(|| format!("cannot read `{path}`"))?;
            modules.configure(&String::from_utf8_lossy(&text));
        }
    }
    let names = ALWAYS.iter().map(|(name, _why)| *name).chain(asked.iter().map(String::as_str));
    let features = cut.options.features;
    let esp: &[&str] = if features.slots || features.recovery { ESP } else { &[] };
    let encrypted: &[&str] = if features.encrypted { ENCRYPTED } else { &[] };
    let there = WHEN_THERE.iter().map(|(name, _why)| name).chain(esp).chain(encrypted);
    let there = there.copied().filter(|name| modules.has(name));
    let chosen = modules.closure(names.chain(there))?;

    let mut files = Vec::new();
    for module in chosen.iter().filter_map(|name| modules.get(name)) {
        let from = kernel.modules.join(&module.path);
        let (_, node) =
            cut.system.resolve(&from).with_context(|| format!("`{from}` is not in the system"))?;
        files.push((from, kernel.modules.join(plain(&module.path)), node.clone()));
    }
    let firmware = firmware::of(cut.system, kernel, &modules, asked.iter().map(String::as_str))?;
    for (to, from) in firmware.into_iter().flat_map(|firmware| firmware.found) {
        let (_, node) = cut.system.resolve(&from).with_context(|| format!("`{from}` vanished"))?;
        files.push((from, to, Node { mode: 0o644, ..node.clone() }));
    }
    decompress(&mut cut.initrd, &files)?;
    for (name, bytes) in modules.indexes(&chosen) {
        cut.initrd.insert(kernel.modules.join(name), Node::file(bytes, 0o644));
    }
    for name in
        ["modules.builtin", "modules.builtin.bin", "modules.builtin.alias.bin", "modules.builtin.modinfo"]
    {
        cut.take_file(&TreePath::new(kernel.modules.to_bytes()).join(name));
    }
    Ok(())
}
