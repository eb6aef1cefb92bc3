//! The version a kernel image says it has.
//!
//! <https://docs.kernel.org/arch/x86/boot.html#the-real-mode-kernel-header>

/// What `uname -r` prints once this kernel runs, found as ukify finds it: in the
/// boot header of a bzImage, or in the banner of an uncompressed image. `None`
/// where there is neither.
pub fn uname(kernel: &[u8]) -> Option<String> {
    boot_header(kernel).or_else(|| banner(kernel))
}

/// `6.12.0-amd64 (debian-kernel@lists.debian.org) #1 SMP …`, where the header's
/// `kernel_version` field points.
fn boot_header(kernel: &[u8]) -> Option<String> {
    if kernel.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let pointer = kernel.get(0x20e..0x210)?;
    let start = 0x200 + usize::from(u16::from_le_bytes([pointer[0], pointer[1]]));
    let text = kernel.get(start..)?;
    let text = &text[..text.len().min(128)];
    let text = text.split(|&byte| byte == 0).next()?;
    let (version, rest) = std::str::from_utf8(text).ok()?.split_once(" (")?;
    let (builder, rest) = rest.split_once(") #")?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._+-".contains(c);
    let fits = !version.is_empty() && version.chars().all(allowed) && !builder.is_empty();
    (fits && !builder.contains([' ', ')']) && !rest.starts_with('\n')).then(|| version.to_owned())
}

/// `Linux version 6.12.0-arm64 (…`
fn banner(kernel: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    if !kernel.starts_with(b"MZ") && !kernel.starts_with(b"\x7fELF") {
        return None;
    }
    let mut rest = kernel;
    loop {
        let at = rest.windows(BANNER.len()).position(|window| window == BANNER)?;
        rest = &rest[at + BANNER.len()..];
        let end = rest.iter().take(256).position(u8::is_ascii_whitespace).unwrap_or(0);
        let version = &rest[..end];
        let numbered = version.len() > 2 && version[0].is_ascii_digit() && version[1] == b'.';
        if numbered && rest[end..].starts_with(b" (") {
            return String::from_utf8(version.to_vec()).ok();
        }
    }
}
