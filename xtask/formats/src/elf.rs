//! What an ELF file needs from the tree it runs in: its interpreter, its
//! libraries, and the libraries it opens only when it uses a feature.
//!
//! Notes: <https://systemd.io/ELF_DLOPEN_METADATA/>. Search order: ld.so(8).
//! Deliberately absent: relocations, symbols, and the hardware-dependent
//! directories (`glibc-hwcaps`), whose files are faster copies of others.

mod libraries;

use object::Endianness;
use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, FileHeader32, FileHeader64, PT_LOAD,
};
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};

pub use libraries::{Libraries, MissingLibrary};

use crate::digest::hex;

/// The type of a `.note.dlopen` note; its name is `FDO`.
const NOTE_DLOPEN: u32 = 0x407c_0c0a;
/// The type of a note with a build id; its name is `GNU`.
const NOTE_BUILD_ID: u32 = 3;

/// What an ELF file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The machine and the width: libraries fit only where both are the same.
    pub machine: (u16, Width),
    /// The program interpreter, of programs that need one.
    pub interpreter: Option<String>,
    /// The libraries it cannot start without, by file name.
    pub needed: Vec<String>,
    /// Its own directories to look in, `$ORIGIN` unexpanded.
    pub runpath: Vec<String>,
    /// The libraries it opens when a feature is used.
    pub dlopen: Vec<Dlopen>,
    /// What the linker tells one build of it from another by, in hexadecimal.
    pub build_id: Option<String>,
}

/// How wide an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// ELFCLASS32
    Bits32,
    /// ELFCLASS64
    Bits64,
}

/// One entry of a `.note.dlopen` note.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Dlopen {
    /// The feature's name, for example `tpm`.
    #[serde(default)]
    pub feature: String,
    /// How much it is missed.
    #[serde(default)]
    pub priority: Priority,
    /// Names of the library; the first one found is opened.
    pub soname: Vec<String>,
}

/// How much a library is missed that is opened at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Nice to have.
    Suggested,
    /// Wanted by default.
    #[default]
    Recommended,
    /// The program's purpose fails without it.
    Required,
}

/// Why a file cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It is no whole ELF file.
    #[error("broken ELF file")]
    Broken(#[from] object::read::Error),
    /// A table of the dynamic section lies outside of the file.
    #[error("the {table} of the ELF file lies at address {address:#x}, outside of what is loaded")]
    Outside {
        /// Which table.
        table: &'static str,
        /// Where it should be in memory.
        address: u64,
    },
    /// A note is not the JSON it should be.
    #[error("broken `.note.dlopen` note `{note}`")]
    Note {
        /// The note's text.
        note: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Elf {
    /// Reads a file's needs; `None` for a file that is not ELF.
    ///
    /// # Errors
    /// A file that starts like ELF and is broken.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ElfError> {
        if !bytes.starts_with(b"\x7fELF") {
            return Ok(None);
        }
        Ok(Some(match bytes.get(4) {
            Some(1) => read::<FileHeader32<Endianness>>(bytes, Width::Bits32)?,
            _ => read::<FileHeader64<Endianness>>(bytes, Width::Bits64)?,
        }))
    }
}

fn read<H: FileHeader<Endian = Endianness>>(bytes: &[u8], width: Width) -> Result<Elf, ElfError> {
    let header = H::parse(bytes)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, bytes)?;
    let mut elf = Elf {
        machine: (header.e_machine(endian).0, width),
        interpreter: None,
        needed: Vec::new(),
        runpath: Vec::new(),
        dlopen: Vec::new(),
        build_id: None,
    };
    let loaded = |address: u64, size: u64, table: &'static str| {
        let mut found = segments.iter().filter(|s| s.p_type(endian) == PT_LOAD);
        let found = found.find_map(|s| s.data_range(endian, bytes, address, size).ok().flatten());
        found.ok_or(ElfError::Outside { table, address })
    };
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            elf.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
        if let Some(mut notes) = segment.notes(endian, bytes)? {
            while let Some(note) = notes.next()? {
                if note.name() == b"FDO" && note.n_type(endian).0 == NOTE_DLOPEN {
                    elf.dlopen.extend(dlopen(note.desc())?);
                }
                if note.name() == b"GNU" && note.n_type(endian).0 == NOTE_BUILD_ID {
                    elf.build_id = Some(hex(note.desc()));
                }
            }
        }
        let Some(dynamic) = segment.dynamic(endian, bytes)? else { continue };
        let value = |tag| dynamic.iter().find(|d| d.d_tag(endian) == tag).map(|d| d.d_val(endian).into());
        let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else { continue };
        let strings = loaded(address, size, "string table")?;
        let all = |tag| {
            let found = dynamic.iter().filter(move |d| d.d_tag(endian) == tag);
            found.map(|d| text(strings, d.d_val(endian).into())).collect::<Result<Vec<_>, _>>()
        };
        elf.needed = all(DT_NEEDED)?;
        let mut runpath = all(DT_RUNPATH)?;
        if runpath.is_empty() {
            runpath = all(DT_RPATH)?;
        }
        elf.runpath = runpath.iter().flat_map(|list| list.split(':')).map(str::to_owned).collect();
    }
    Ok(elf)
}

/// The string at an offset of the string table.
fn text(strings: &[u8], offset: u64) -> Result<String, ElfError> {
    let tail = usize::try_from(offset).ok().and_then(|offset| strings.get(offset..));
    let tail = tail.ok_or(ElfError::Outside { table: "string", address: offset })?;
    let end = tail.iter().position(|&b| b == 0).unwrap_or(tail.len());
    Ok(String::from_utf8_lossy(&tail[..end]).into_owned())
}

fn dlopen(note: &[u8]) -> Result<Vec<Dlopen>, ElfError> {
    let json = note.split(|&b| b == 0).next().unwrap_or_default();
    serde_json::from_slice(json)
        .map_err(|source| ElfError::Note { note: String::from_utf8_lossy(json).into_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_needs_the_c_library() {
        let me = std::fs::read("/proc/self/exe").unwrap();
        let elf = Elf::parse(&me).unwrap().unwrap();
        assert!(elf.needed.iter().any(|n| n.starts_with("libc.so")), "{elf:?}");
        assert!(elf.interpreter.unwrap().contains("ld-"));
    }

    #[test]
    fn a_note_names_the_feature_and_its_libraries() {
        let note =
            br#"[{"feature":"lzma","description":"x","priority":"suggested","soname":["liblzma.so.5"]},
            {"soname":["liba.so.1","liba.so.0"]}]"#;
        let note = [&note[..], b"\0\0"].concat();
        let found = dlopen(&note).unwrap();
        assert_eq!((found[0].feature.as_str(), found[0].priority), ("lzma", Priority::Suggested));
        assert_eq!((found[1].soname.len(), found[1].priority), (2, Priority::Recommended));
    }

    #[test]
    fn a_broken_note_is_shown() {
        assert!(dlopen(b"[{]").unwrap_err().to_string().contains("`[{]`"));
    }

    #[test]
    fn a_script_is_no_elf_file() {
        assert_eq!(Elf::parse(b"#!/bin/sh").unwrap(), None);
    }

    #[test]
    fn a_truncated_file_is_an_error_wherever_it_ends() {
        let me = std::fs::read("/proc/self/exe").unwrap();
        for length in [4, 5, 17, 63, 200, 4096] {
            assert!(Elf::parse(&me[..length]).is_err(), "{length}");
        }
    }
}
