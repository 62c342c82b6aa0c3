//! Just enough of ELF to know that a file runs in an empty image: for which machine it is, and that it needs no
//! dynamic loader. It knows nothing of Docker but the names that engines give to machines.

/// What an executable is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Executable {
    /// The machine in the engine's words: `amd64`, `arm64`, …; `machine 99` if unknown.
    pub(super) arch: String,
    /// Whether it asks for a dynamic loader.
    pub(super) dynamic: bool,
}

/// Program header that names the dynamic loader.
const PT_INTERP: u32 = 3;

/// Reads an ELF header; `None` if the file is no whole ELF executable.
pub(super) fn read(file: &[u8]) -> Option<Executable> {
    let wide = match (file.get(..4)?, file.get(4)?) {
        (b"\x7fELF", 1) => false,
        (b"\x7fELF", 2) => true,
        _ => return None,
    };
    let big = *file.get(5)? == 2;
    let at = |offset: usize, len: usize| -> Option<u64> {
        let bytes = file.get(offset..offset.checked_add(len)?)?.iter();
        let fold = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        Some(if big { bytes.fold(0, fold) } else { bytes.rev().fold(0, fold) })
    };
    let (table, size, count) =
        if wide { (at(32, 8)?, at(54, 2)?, at(56, 2)?) } else { (at(28, 4)?, at(42, 2)?, at(44, 2)?) };
    let mut dynamic = false;
    for i in 0..count {
        let header = usize::try_from(table.checked_add(i * size)?).ok()?;
        dynamic |= at(header, 4)? == u64::from(PT_INTERP);
    }
    let arch = match (at(18, 2)?, big) {
        (3, _) => "386".to_owned(),
        (21, false) => "ppc64le".to_owned(),
        (22, _) => "s390x".to_owned(),
        (40, _) => "arm".to_owned(),
        (62, _) => "amd64".to_owned(),
        (183, _) => "arm64".to_owned(),
        (243, _) => "riscv64".to_owned(),
        (258, _) => "loong64".to_owned(),
        (other, _) => format!("machine {other}"),
    };
    Some(Executable { arch, dynamic })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A little ELF with one program header.
    pub(in super::super) fn elf(machine: u16, header: u32) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file.extend_from_slice(&header.to_le_bytes());
        file.extend([0; 52]);
        file
    }

    #[test]
    fn a_static_executable_asks_for_no_loader() {
        assert_eq!(read(&elf(62, 1)), Some(Executable { arch: "amd64".into(), dynamic: false }));
        assert_eq!(read(&elf(183, PT_INTERP)), Some(Executable { arch: "arm64".into(), dynamic: true }));
    }

    #[test]
    fn what_is_cut_off_or_no_elf_at_all_is_refused() {
        let whole = elf(62, 1);
        for len in 0..67 {
            assert_eq!(read(&whole[..len]), None, "{len} bytes");
        }
        assert_eq!(read(b"#!/bin/sh\n"), None);
    }
}
