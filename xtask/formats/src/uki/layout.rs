//! Where sections go: the headers of the stub, and what is appended to it.

use std::collections::BTreeMap;

use super::{Place, UkiError, copying};
use crate::pe::{Image, OPTIONAL_HEADER, Section};
use crate::tree::Content;

/// `IMAGE_DLLCHARACTERISTICS_NX_COMPAT`.
pub(super) const NX_COMPAT: u16 = 0x0100;
/// `IMAGE_SCN_MEM_READ | IMAGE_SCN_CNT_INITIALIZED_DATA`.
pub(super) const DATA: u32 = 0x4000_0040;
/// `IMAGE_SCN_MEM_READ | IMAGE_SCN_CNT_CODE`: old kernels run where they lie.
const CODE: u32 = 0x4000_0020;

const SECTION_HEADER: usize = 40;

/// The stub's headers while they are changed.
pub(super) struct Layout<'a> {
    stub: &'a mut Vec<u8>,
    image: &'a Image,
    /// The stub's own sections, then the appended ones.
    sections: Vec<Section>,
    length: u64,
    initialized: u64,
}

impl<'a> Layout<'a> {
    /// Begins from a stub, if it is one that can be appended to as it is.
    pub(super) fn new(stub: &'a mut Vec<u8>, image: &'a Image) -> Result<Self, UkiError> {
        let refuse = |why: String| Err(UkiError::StubLayout(why));
        if image.security != (0, 0) {
            return Err(UkiError::StubSigned);
        }
        if image.symbol_table != 0 {
            return refuse("it has a symbol table".to_owned());
        }
        let (file, memory) = (image.file_alignment, image.section_alignment);
        if !file.is_power_of_two() || !memory.is_power_of_two() || file > 0x10000 || memory > 0x100_0000 {
            return refuse(format!("alignments of `{file}` and `{memory}` bytes are none"));
        }
        let unaligned = |section: &&Section| {
            !section.offset.is_multiple_of(file) || !section.raw_size.is_multiple_of(file)
        };
        if let Some(section) = image.sections.iter().find(unaligned) {
            return refuse(format!("section `{}` is not aligned in the file", section.name));
        }
        // What is put in place of one would be written over the other.
        let mut in_file: Vec<&Section> = image.sections.iter().filter(|s| s.raw_size > 0).collect();
        in_file.sort_by_key(|section| section.offset);
        let overlap = |pair: &&[&Section]| pair[1].offset - pair[0].offset < pair[0].raw_size;
        if let Some(pair) = in_file.windows(2).find(overlap) {
            return refuse(format!("sections `{}` and `{}` overlap in the file", pair[0].name, pair[1].name));
        }
        let Some(headers) = image.size_of_headers.checked_next_multiple_of(file) else {
            return refuse(format!("headers of `{}` bytes", image.size_of_headers));
        };
        let first = in_file.first().map_or(stub.len() as u64, |section| section.offset.into());
        if u64::from(headers) > first || image.sections.is_empty() {
            return refuse("its headers reach into its sections".to_owned());
        }
        let length = stub.len() as u64;
        let mut layout = Self {
            stub,
            image,
            sections: image.sections.clone(),
            length,
            initialized: image.size_of_initialized_data.into(),
        };
        layout.put(OPTIONAL_HEADER + 60, &headers.to_le_bytes());
        Ok(layout)
    }

    /// Gives every section its place, writes the headers into the stub, and
    /// returns what is to be appended.
    pub(super) fn place<'s>(
        mut self,
        sections: &'s BTreeMap<Place, Vec<Content>>,
        kernel: &Image,
    ) -> Result<Vec<(&'s Place, Section)>, UkiError> {
        let mut appended = Vec::new();
        for (place, pieces) in sections {
            let name = place.name();
            let size = match &pieces[..] {
                [one] => one.len(),
                several => several.iter().map(|piece| piece.len().next_multiple_of(4)).sum(),
            };
            let own = self.image.sections.iter().position(|section| section.name == name);
            match own {
                Some(number) => self.replace(number, name, size, pieces)?,
                None => appended.push((place, self.append(place, size)?)),
            }
        }
        // Firmware that enforces NX looks at the image it starts, and the kernel
        // runs inside of it: the image may not promise more than the kernel.
        if kernel.dll_characteristics & NX_COMPAT == 0 {
            let bits = self.image.dll_characteristics & !NX_COMPAT;
            self.put(OPTIONAL_HEADER + 70, &bits.to_le_bytes());
        }
        let count = u16::try_from(self.sections.len()).unwrap_or(u16::MAX);
        self.put(2, &count.to_le_bytes());
        let initialized = u32::try_from(self.initialized).unwrap_or(u32::MAX);
        self.put(OPTIONAL_HEADER + 8, &initialized.to_le_bytes());
        let end = self.memory_end();
        let size_of_image = u32::try_from(end).map_err(|_| UkiError::TooLarge {
            section: self.sections.last().map_or_else(String::new, |section| section.name.clone()),
            size: end,
        })?;
        self.put(OPTIONAL_HEADER + 56, &size_of_image.to_le_bytes());
        self.put(OPTIONAL_HEADER + 64, &[0; 4]); // check sum
        Ok(appended)
    }

    fn append(&mut self, place: &Place, size: u64) -> Result<Section, UkiError> {
        let name = place.name();
        let header = self.image.section_table + self.sections.len() * SECTION_HEADER;
        let headers = self.image.size_of_headers.next_multiple_of(self.image.file_alignment);
        if header + SECTION_HEADER > headers as usize {
            return Err(UkiError::HeaderFull { section: name.to_owned(), size: headers });
        }
        let file = u64::from(self.image.file_alignment);
        let offset = self.length.next_multiple_of(file);
        let address = self.memory_end();
        let end = offset.saturating_add(size).checked_next_multiple_of(file).unwrap_or(u64::MAX);
        let bits = |value: u64| {
            let section = name.to_owned();
            u32::try_from(value).map_err(|_| UkiError::TooLarge { section, size: end.max(address + size) })
        };
        bits(end)?;
        let section = Section {
            name: name.to_owned(),
            virtual_address: bits(address)?,
            virtual_size: bits(size)?,
            offset: bits(offset)?,
            raw_size: bits(end - offset)?,
            flags: if *place == Place::Linux { CODE } else { DATA },
        };
        self.length = end;
        self.initialized += size;
        let mut bytes = [0; SECTION_HEADER];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[8..12].copy_from_slice(&section.virtual_size.to_le_bytes());
        bytes[12..16].copy_from_slice(&section.virtual_address.to_le_bytes());
        bytes[16..20].copy_from_slice(&section.raw_size.to_le_bytes());
        bytes[20..24].copy_from_slice(&section.offset.to_le_bytes());
        bytes[36..40].copy_from_slice(&section.flags.to_le_bytes());
        self.stub[header..header + SECTION_HEADER].copy_from_slice(&bytes);
        self.sections.push(section.clone());
        Ok(section)
    }

    /// Puts the content in place of a section the stub has itself.
    fn replace(&mut self, number: usize, name: &str, size: u64, pieces: &[Content]) -> Result<(), UkiError> {
        let section = &mut self.sections[number];
        let available = section.raw_size;
        let virtual_size = u32::try_from(size).unwrap_or(u32::MAX);
        if virtual_size > available {
            return Err(UkiError::SectionFull { section: name.to_owned(), available, needed: size });
        }
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend(piece.read().map_err(copying(name))?);
            if pieces.len() > 1 {
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
        }
        bytes.resize(available as usize, 0);
        let start = section.offset as usize;
        self.stub[start..start + bytes.len()].copy_from_slice(&bytes);
        section.virtual_size = virtual_size;
        let header = self.image.section_table + number * SECTION_HEADER;
        self.stub[header + 8..header + 12].copy_from_slice(&virtual_size.to_le_bytes());
        Ok(())
    }

    /// Where the next section is loaded: the end of the last, rounded.
    fn memory_end(&self) -> u64 {
        let last = self.sections.last();
        let end = last.map_or(0, |last| u64::from(last.virtual_address) + u64::from(last.virtual_size));
        end.next_multiple_of(self.image.section_alignment.into())
    }

    /// Writes into the file header, or what follows it.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let start = self.image.file_header + at;
        self.stub[start..start + bytes.len()].copy_from_slice(bytes);
    }
}
