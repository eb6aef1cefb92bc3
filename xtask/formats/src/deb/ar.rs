//! The container of a package: `ar`, as dpkg reads it.
//!
//! Members follow one another, each behind a header of sixty bytes and padded
//! to an even length. Names are short; the extensions for long ones of GNU and
//! BSD do not occur in packages.

use std::io::{self, Read};

use super::DebError;

/// A package, read up to a member's content or to its end.
pub(super) struct Ar<R> {
    reader: R,
    /// How many bytes were read so far.
    offset: u64,
    /// How many bytes of the current member are still to come.
    left: u64,
    /// Whether one byte of padding follows the current member.
    padded: bool,
}

/// A member's header.
pub(super) struct Member {
    pub name: String,
    /// Where its header begins.
    pub offset: u64,
}

impl Member {
    /// Makes what went wrong while reading it an error that names it.
    pub fn damaged(&self) -> impl Fn(io::Error) -> DebError + use<> {
        let (offset, member) = (self.offset, self.name.clone());
        move |source| DebError::Damaged { offset, member: member.clone(), source }
    }
}

impl<R: Read> Ar<R> {
    /// Reads up to the end of `debian-binary`, which says that this is a
    /// package of a format known here.
    pub fn open(reader: R) -> Result<Self, DebError> {
        let mut ar = Self { reader, offset: 0, left: 0, padded: false };
        let mut magic = [0; 8];
        if ar.fill(&mut magic)? < 8 || magic != *b"!<arch>\n" {
            return Err(DebError::NotAnArchive);
        }
        let member = ar.expect("debian-binary")?;
        let mut version = String::new();
        ar.member(&member).take(16).read_to_string(&mut version).map_err(member.damaged())?;
        ar.finish(&member)?;
        if !version.starts_with("2.") {
            return Err(DebError::Version(version.trim_end().to_owned()));
        }
        Ok(ar)
    }

    /// Reads the header of the next member, whose name must begin so. Members
    /// whose name begins with `_` are passed over, as deb(5) demands.
    pub fn expect(&mut self, expected: &'static str) -> Result<Member, DebError> {
        loop {
            let offset = self.offset;
            let member = self.header()?.ok_or(DebError::Missing { offset, expected })?;
            if member.name.starts_with('_') {
                self.skip(&member)?;
                continue;
            }
            let rest = member.name.strip_prefix(expected);
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
                return Err(DebError::Member { offset, found: member.name, expected });
            }
            return Ok(member);
        }
    }

    /// A reader of the content of the member whose header was read last.
    pub fn member(&mut self, _: &Member) -> Content<'_, R> {
        Content(self)
    }

    /// Ends a member: it must have been read to its last byte.
    pub fn finish(&mut self, member: &Member) -> Result<(), DebError> {
        if self.left > 0 {
            let what = "bytes follow the end of the compressed data";
            return Err(member.damaged()(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        if std::mem::take(&mut self.padded) {
            self.fill(&mut [0])?;
        }
        Ok(())
    }

    /// Reads to the end of the package. deb(5) allows for more members there.
    pub fn end(&mut self) -> Result<(), DebError> {
        while let Some(member) = self.header()? {
            self.skip(&member)?;
        }
        Ok(())
    }

    fn skip(&mut self, member: &Member) -> Result<(), DebError> {
        io::copy(&mut self.member(member), &mut io::sink()).map_err(member.damaged())?;
        self.finish(member)
    }

    fn header(&mut self) -> Result<Option<Member>, DebError> {
        let offset = self.offset;
        let damaged = |what| DebError::Header { offset, what };
        let mut header = [0; 60];
        match self.fill(&mut header)? {
            0 => return Ok(None),
            60 => {}
            _ => return Err(damaged("the package ends within it")),
        }
        if &header[58..] != b"`\n" {
            return Err(damaged("its magic bytes are missing"));
        }
        let text = std::str::from_utf8(&header).map_err(|_| damaged("it is not text"))?;
        let (Some(name), Some(size)) = (text.get(..16), text.get(48..58)) else {
            return Err(damaged("it is not text"));
        };
        let size = size.trim_end();
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit()) {
            return Err(damaged("its size is not a number"));
        }
        self.left = size.parse().map_err(|_| damaged("its size is not a number"))?;
        self.padded = self.left % 2 == 1;
        let name = name.trim_end();
        Ok(Some(Member { name: name.strip_suffix('/').unwrap_or(name).to_owned(), offset }))
    }

    /// Reads until the buffer is full or the package ends.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }
}

/// The content of a member. That it ends early is an error of reading it.
pub(super) struct Content<'a, R>(&'a mut Ar<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.0.reader.read(&mut buffer[..most])?;
        if read == 0 {
            let what = format!("the package ends {} bytes before its end", self.0.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.0.offset += read as u64;
        self.0.left -= read as u64;
        Ok(read)
    }
}
