//! Whether a library may be trusted to be what its owner put there.

use std::path::Path;

/// Why a library is not loaded although it could be: somebody else may have written it. `None`: nobody else may.
pub(super) fn writable_by_others(library: &Path) -> Option<String> {
    let real = library.canonicalize().ok()?;
    let given = std::path::absolute(library).ok()?;
    let folders = [real.parent(), given.parent()].into_iter().flatten();
    reason(&real).or_else(|| folders.filter_map(|folder| folder_reason(folder, &real)).next())
}

#[cfg(unix)]
fn reason(library: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let anyone = library.metadata().ok()?.mode() & 0o002 != 0;
    anyone
        .then(|| format!("{}: anyone on this machine may change this library, so it is not loaded", library.display()))
}

/// In a sticky folder, such as /tmp, nobody can replace the file of another.
#[cfg(unix)]
fn folder_reason(folder: &Path, library: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let (mode, owner) = (folder.metadata().ok()?.mode(), library.metadata().ok()?.uid());
    let own = owner == 0 || owner == rustix::process::geteuid().as_raw();
    let anyone = mode & 0o002 != 0 && !(mode & 0o1000 != 0 && own);
    let (library, folder) = (library.display(), folder.display());
    anyone.then(|| format!("{library}: anyone on this machine may put files into {folder}, so it is not loaded"))
}

#[cfg(not(unix))]
fn reason(_: &Path) -> Option<String> {
    None
}

#[cfg(not(unix))]
fn folder_reason(_: &Path, _: &Path) -> Option<String> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn libraries_that_anyone_may_write_are_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().canonicalize().unwrap().join("plugins");
        fs::create_dir(&folder).unwrap();
        let library = folder.join("x.so");
        fs::write(&library, "").unwrap();
        let reason = |file: u32, of_folder: u32| {
            fs::set_permissions(&library, Permissions::from_mode(file)).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(of_folder)).unwrap();
            writable_by_others(&library)
        };
        assert_eq!(reason(0o755, 0o755), None);
        assert_eq!(reason(0o664, 0o775), None);
        assert_eq!(reason(0o644, 0o1777), None);
        let at = library.display();
        assert_eq!(
            reason(0o646, 0o755),
            Some(format!("{at}: anyone on this machine may change this library, so it is not loaded"))
        );
        let expected =
            format!("{at}: anyone on this machine may put files into {}, so it is not loaded", folder.display());
        assert_eq!(reason(0o644, 0o777), Some(expected.clone()));
        // By a link in a folder that nobody else may write.
        let link = root.path().join("link.so");
        std::os::unix::fs::symlink(&library, &link).unwrap();
        assert_eq!(writable_by_others(&link), Some(expected));
    }
}
