//! What a CI gets to see of a run beside its directory: annotations at the lines of the experiment file, and the verdict on
//! the job's own page. Both go where GitHub Actions says that it wants them, and nowhere if it does not.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use crate::analysis::summary::Analysis;
use crate::console::{complain, say};
use crate::report::ci;
use crate::spec;

/// Most of a job's page that is filled, bytes: what is longer than 1 MiB is not shown at all.
const PAGE_MAX: usize = 900_000;

/// Tells what is to be told; `error` is why the run could not go on, if that is so. A page that cannot be written to is no reason to fail: what it would say is in the report.
pub(crate) fn tell(analysis: &Analysis, file: &Path, error: Option<&str>) {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if set("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        let named = in_workspace(file, set("GITHUB_WORKSPACE").map(PathBuf::from).as_deref());
        for annotation in error.map(ci::broken_off).into_iter().chain(ci::annotations(analysis)) {
            say(annotation.github(&named));
        }
    }
    if let Some(page) = set("GITHUB_STEP_SUMMARY").map(PathBuf::from)
        && let Err(error) = append(&page, analysis, error)
    {
        complain(format_args!("warning: the job's page `{}` cannot be written to: {error}", page.display()));
    }
}

/// The file's name in the repository, as far as that can be told.
fn in_workspace(file: &Path, workspace: Option<&Path>) -> String {
    if spec::is_stdin(file) {
        return spec::shown(file);
    }
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let within = |file: &Path, workspace: &Path| file.strip_prefix(workspace).ok().map(Path::to_owned);
    let found = workspace.and_then(|workspace| {
        let plain = within(&without_detours(&absolute), &without_detours(workspace));
        // By another way, through a link, it may still be there.
        plain.or_else(|| within(&absolute.canonicalize().ok()?, &workspace.canonicalize().ok()?))
    });
    found.map_or_else(|| spec::shown(file), |found| found.display().to_string())
}

/// A path without `.` and without what `..` takes back.
fn without_detours(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

/// Appends to the page what there is room for.
fn append(page: &Path, analysis: &Analysis, error: Option<&str>) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(page)?;
    let taken = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let room = PAGE_MAX.saturating_sub(taken);
    file.write_all(ci::digest(analysis, error, room).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::compared;

    #[test]
    fn a_file_is_named_as_in_the_repository() {
        let workspace = Path::new("/home/runner/work/x/x");
        assert_eq!(in_workspace(&workspace.join("experiments/a.yaml"), Some(workspace)), "experiments/a.yaml");
        assert_eq!(in_workspace(Path::new("/tmp/a.yaml"), Some(workspace)), "/tmp/a.yaml");
        assert_eq!(in_workspace(Path::new("a.yaml"), None), "a.yaml");
        assert_eq!(
            in_workspace(&workspace.join("tools/./../experiments/a.yaml"), Some(workspace)),
            "experiments/a.yaml"
        );
        assert_eq!(
            in_workspace(&workspace.join("../../y/a.yaml"), Some(workspace)),
            "/home/runner/work/x/x/../../y/a.yaml"
        );
        assert_eq!(in_workspace(Path::new("-"), Some(workspace)), "<stdin>");
        let dir = tempfile::tempdir().unwrap();
        let (workspace, link) = (dir.path().join("workspace"), dir.path().join("link"));
        std::fs::create_dir(&workspace).unwrap();
        std::fs::write(workspace.join("a.yaml"), "").unwrap();
        std::os::unix::fs::symlink(&workspace, &link).unwrap();
        assert_eq!(in_workspace(&link.join("a.yaml"), Some(&workspace)), "a.yaml");
    }

    #[test]
    fn a_page_is_added_to_and_never_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("page.md");
        for _ in 0..2 {
            append(&page, &compared(), None).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&page).unwrap().matches("## textbook: regressed").count(), 2);
        std::fs::write(&page, "x".repeat(PAGE_MAX)).unwrap();
        append(&page, &compared(), None).unwrap();
        assert!(std::fs::metadata(&page).unwrap().len() <= PAGE_MAX as u64 + 64);
    }
}
