//! The dependencies form a star: libraries know nothing of each other, the program knows them all.
//! It does not know where the lists of dependencies come from.

use super::Violation;

/// The packages that may depend on those of this workspace.
const HUBS: &[&str] = &["larder", "larder-tests", "xtask"];

/// A package and the names it depends on, development and build dependencies included.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) dependencies: Vec<String>,
}

/// Every edge from a library to another package of this workspace.
pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let ours = |name: &str| packages.iter().any(|package| package.name == name);
    let mut found = Vec::new();
    for package in packages {
        if HUBS.contains(&package.name.as_str()) {
            continue;
        }
        for dependency in package.dependencies.iter().filter(|name| ours(name)) {
            found.push(Violation::new(
                "Cargo.toml",
                format!(
                    "`{}` depends on `{dependency}`: let `larder` pass the values as plain data",
                    package.name
                ),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(|&d| d.to_owned()).collect(),
        }
    }

    #[test]
    fn a_library_that_knows_another_is_found() {
        let packages = [
            package("larder", &["larder-cache", "larder-graph", "serde"]),
            package("larder-cache", &["serde", "larder-graph"]),
            package("larder-graph", &["serde"]),
            package("larder-tests", &["larder"]),
            package("xtask", &["larder"]),
        ];
        let found = check(&packages);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .message
                .starts_with("`larder-cache` depends on `larder-graph`")
        );
    }

    #[test]
    fn a_library_that_knows_the_program_is_found() {
        let packages = [package("larder", &[]), package("larder-graph", &["larder"])];
        assert_eq!(check(&packages).len(), 1);
    }
}
