//! The file of a program that nodes are to run.

use std::io;
use std::path::Path;

/// Longest program that is read, bytes.
const SIZE_MAX: u64 = 1 << 30;

/// Reads a program. A pipe or a device, which may never end, is refused, and so is what no program is as long as.
///
/// # Errors
/// If it is not there, no file, too long, or cannot be read.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if found.len() > SIZE_MAX {
        return Err(io::Error::other(format!("it has {} bytes, a program has {SIZE_MAX} at most", found.len())));
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_what_never_ends_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, b"\x7fELF").unwrap();
        assert_eq!(read(&path).unwrap(), b"\x7fELF");
        let refused = |path: &Path| read(path).unwrap_err().to_string();
        assert_eq!(refused(Path::new("/dev/zero")), "it is not a regular file");
        assert_eq!(refused(dir.path()), "it is not a regular file");
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(refused(&pipe), "it is not a regular file");
        std::fs::File::options().write(true).open(&path).unwrap().set_len(SIZE_MAX + 1).unwrap();
        assert!(refused(&path).starts_with("it has 1073741825 bytes, "), "{}", refused(&path));
    }
}
