//! The same projects and the same command, in the words of each tool.
//! It writes nothing and starts nothing.

use std::fmt::Write as _;

use serde_json::json;

use super::latency;
use super::plan::{PROJECT_FILES, Plan, Project};

/// What every task runs, in its project's folder, whatever tool starts it: it copies a part of the
/// sources, joins all of them and the summaries of its dependencies, and sums up the result.
pub(crate) const COMMAND: &str = "mkdir -p dist && cp -R src/public dist/ && \
     xargs cat < build.list > dist/bundle.txt && cksum dist/bundle.txt > dist/index.txt";

/// What git is told to ignore.
const IGNORED: &str = "node_modules/\ndist/\n.larder/\n.ninja_deps\n.ninja_log\n.ninja_lock\n\
                       .task/\n.turbo/\n.nx/\n.moon/cache/\n";

/// A path relative to the root, and the text that belongs there.
pub(crate) type Text = (String, String);

/// Every file of a project that is written for tools, `build.list` included.
pub(crate) fn project(plan: &Plan, project: &Project) -> Vec<Text> {
    let others: Vec<&Project> = project
        .dependencies
        .iter()
        .map(|on| &plan.projects[*on])
        .collect();
    let names: Vec<&str> = others.iter().map(|other| other.name.as_str()).collect();
    let mut list = String::new();
    for file in &project.sources {
        line(&mut list, &file.path);
    }
    for other in &others {
        line(&mut list, &from_sibling(other, "dist/index.txt"));
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let larder = format!(
        "[project]\nname = \"{}\"\ndepends-on = [{}]\n",
        project.name,
        quoted.join(", ")
    );
    let moon = format!("dependsOn: [{}]\n", names.join(", "));
    let package = json!({
        "name": project.name,
        "version": "1.0.0",
        "private": true,
        "scripts": { "build": COMMAND },
        "dependencies": names.iter().map(|name| ((*name).to_owned(), json!("workspace:*")))
            .collect::<serde_json::Map<_, _>>(),
        "nx": { "targets": { "build": {
            "executor": "nx:run-commands",
            "options": { "command": COMMAND, "cwd": project.folder },
        } } },
    });
    let at = |name: &str| format!("{}/{name}", project.folder);
    vec![
        (at("build.list"), list),
        (at("larder.toml"), larder),
        (at("moon.yml"), moon),
        (at("package.json"), format!("{package:#}\n")),
        (at("vite.config.ts"), vite(&others)),
    ]
}

/// Every file of the root.
pub(crate) fn root(plan: &Plan) -> Vec<Text> {
    let package = json!({
        "name": "fixture",
        "version": "1.0.0",
        "private": true,
        "packageManager": "npm@11.0.0",
        "workspaces": ["packages/*/*"],
    });
    let turbo = json!({
        "tasks": { "build": { "dependsOn": ["^build"], "outputs": ["dist/**"] } },
    });
    let nx = json!({
        "analytics": false,
        "neverConnectToCloud": true,
        "targetDefaults": { "build": {
            "cache": true,
            "dependsOn": ["^build"],
            "inputs": ["{projectRoot}/**/*", { "dependentTasksOutputFiles": "**/*" }],
            "outputs": ["{projectRoot}/dist"],
        } },
    });
    let texts = [
        (".gitignore", IGNORED.to_owned()),
        ("larder.toml", larder()),
        ("build.ninja", ninja(plan)),
        ("Taskfile.yml", taskfile(plan)),
        ("package.json", format!("{package:#}\n")),
        ("package-lock.json", format!("{:#}\n", lock(plan))),
        ("turbo.json", format!("{turbo:#}\n")),
        ("nx.json", format!("{nx:#}\n")),
        (".moon/workspace.yml", MOON_WORKSPACE.to_owned()),
        (".moon/toolchains.yml", "{}\n".to_owned()),
        (".moon/tasks/all.yml", moon_tasks()),
        ("vite.config.ts", "export default {};\n".to_owned()),
    ];
    texts.map(|(path, text)| (path.to_owned(), text)).into()
}

const MOON_WORKSPACE: &str =
    "projects: ['packages/*/*']\nvcs:\n  defaultBranch: main\ntelemetry: false\n";

/// vite-task takes no task of the name of a script. What it watches by itself leaves out what the
/// programs of this command read and write, so both are named.
fn vite(others: &[&Project]) -> String {
    let mut inputs = vec![json!("src/**")];
    inputs.extend(PROJECT_FILES.iter().map(|name| json!(name)));
    inputs.extend(others.iter().map(|other| {
        json!({ "pattern": format!("{}/dist/index.txt", other.folder), "base": "workspace" })
    }));
    let task = json!({
        "command": COMMAND,
        "dependsOn": [{ "task": "bundle", "from": "dependencies" }],
        "input": inputs,
        "output": ["dist/**"],
    });
    let config = json!({ "run": { "tasks": { "bundle": task } } });
    format!("export default {config:#};\n")
}

/// The root has two more tasks. One reads every input of the whole tree and does nothing, so a first
/// run of it is the digesting of all files. The other one is the probe of `watch-latency`.
fn larder() -> String {
    let mut inputs: Vec<String> = vec!["\"packages/*/*/src/**\"".to_owned()];
    inputs.extend(
        PROJECT_FILES
            .iter()
            .map(|name| format!("\"packages/*/*/{name}\"")),
    );
    format!(
        "[workspace]\nprojects = [\".\", \"packages/*/*\"]\n\n\
         [tasks.build]\nprojects = [\"packages/*/*\"]\ncommand = \"{COMMAND}\"\n\
         depends-on = [\"^build\"]\noutputs = [\"dist/**\"]\n\n\
         [tasks.digest]\nprojects = [\".\"]\ncommand = [\"true\"]\n\
         inputs = [{}]\noutputs = []\n\n{}",
        inputs.join(", "),
        latency::TASK
    )
}

/// One edge a task, with every file that it reads and every file that it makes.
fn ninja(plan: &Plan) -> String {
    let mut text = format!("rule build\n  command = cd $in_dir && {COMMAND}\n\n");
    let mut all = String::from("build all: phony");
    for project in &plan.projects {
        let folder = &project.folder;
        let mut outputs = Plan::outputs(project).map(|path| format!("{folder}/{path}"));
        let index = outputs.next().unwrap_or_default();
        let others: Vec<String> = outputs.collect();
        let _ = write!(text, "build {index} | {}: build", others.join(" "));
        for path in Plan::inputs(project) {
            let _ = write!(text, " {folder}/{path}");
        }
        for on in &project.dependencies {
            let _ = write!(text, " {}/dist/index.txt", plan.projects[*on].folder);
        }
        let _ = writeln!(text, "\n  in_dir = {folder}");
        let _ = write!(all, " {index}");
    }
    format!("{text}\n{all}\ndefault all\n")
}

/// Task's globs name what the project's folder holds; its dependencies' summaries are sources too.
fn taskfile(plan: &Plan) -> String {
    let mut text =
        String::from("version: '3'\nsilent: true\nmethod: checksum\nrun: once\ntasks:\n");
    let all: Vec<&str> = plan.projects.iter().map(|p| p.name.as_str()).collect();
    let _ = writeln!(text, "  default:\n    deps: [{}]", all.join(", "));
    for project in &plan.projects {
        let others = project.dependencies.iter().map(|on| &plan.projects[*on]);
        let names: Vec<&str> = others.clone().map(|other| other.name.as_str()).collect();
        let mut sources: Vec<String> = vec!["'src/**/*'".to_owned()];
        sources.extend(PROJECT_FILES.iter().map(|name| format!("'{name}'")));
        sources.extend(others.map(|other| format!("'{}'", from_sibling(other, "dist/index.txt"))));
        let _ = writeln!(
            text,
            "  {}:\n    dir: {}\n    deps: [{}]\n    sources: [{}]\n    \
             generates: ['dist/**/*']\n    cmds: ['{COMMAND}']",
            project.name,
            project.folder,
            names.join(", "),
            sources.join(", ")
        );
    }
    text
}

fn moon_tasks() -> String {
    format!(
        "tasks:\n  build:\n    script: '{COMMAND}'\n    deps: ['^:build']\n    \
         inputs: ['src/**/*', {}]\n    outputs: ['dist/**/*']\n    options:\n      runFromWorkspaceRoot: false\n",
        PROJECT_FILES
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// npm's lock file, which Turborepo reads to learn what packages resolve to.
fn lock(plan: &Plan) -> serde_json::Value {
    let mut packages = serde_json::Map::new();
    packages.insert(
        String::new(),
        json!({ "name": "fixture", "version": "1.0.0", "workspaces": ["packages/*/*"] }),
    );
    for project in &plan.projects {
        packages.insert(
            format!("node_modules/{}", project.name),
            json!({ "resolved": project.folder, "link": true }),
        );
        packages.insert(project.folder.clone(), json!({ "version": "1.0.0" }));
    }
    json!({ "name": "fixture", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": packages })
}

fn line(text: &mut String, path: &str) {
    text.push_str(path);
    text.push('\n');
}

/// A file of another project, seen from a project's folder; all lie three deep.
fn from_sibling(other: &Project, file: &str) -> String {
    format!("../../../{}/{file}", other.folder)
}

#[cfg(test)]
mod tests {
    use super::super::plan::SIZES;
    use super::*;

    #[test]
    fn every_tool_gets_every_task_with_the_same_command() {
        let plan = Plan::new(SIZES[0], 1);
        let texts = root(&plan);
        let text = |path: &str| {
            texts
                .iter()
                .find(|(at, _)| at == path)
                .map(|(_, t)| t.as_str())
        };
        let ninja = text("build.ninja").unwrap();
        assert_eq!(ninja.matches("in_dir = ").count(), 20);
        assert_eq!(ninja.matches(COMMAND).count(), 1);
        assert_eq!(text("Taskfile.yml").unwrap().matches(COMMAND).count(), 20);
        assert_eq!(text("larder.toml").unwrap().matches(COMMAND).count(), 1);
        assert_eq!(
            text(".moon/tasks/all.yml")
                .unwrap()
                .matches(COMMAND)
                .count(),
            1
        );
        for one in &plan.projects {
            let own = project(&plan, one);
            let package = &own
                .iter()
                .find(|(at, _)| at.ends_with("package.json"))
                .unwrap()
                .1;
            let package: serde_json::Value = serde_json::from_str(package).unwrap();
            assert_eq!(package["scripts"]["build"], COMMAND);
            assert_eq!(
                package["dependencies"].as_object().unwrap().len(),
                one.dependencies.len()
            );
        }
    }

    #[test]
    fn ninja_names_every_input_and_every_output() {
        let plan = Plan::new(SIZES[0], 1);
        let text = ninja(&plan);
        for project in &plan.projects {
            for path in Plan::inputs(project) {
                let path = format!(" {}/{path}", project.folder);
                assert_eq!(text.matches(&path).count(), 1, "{path}");
            }
            for path in Plan::outputs(project).skip(1) {
                let path = format!(" {}/{path}", project.folder);
                assert_eq!(text.matches(&path).count(), 1, "{path}");
            }
        }
    }

    #[test]
    fn a_list_names_all_sources_and_the_summaries_of_dependencies() {
        let plan = Plan::new(SIZES[0], 1);
        let one = plan
            .projects
            .iter()
            .find(|p| p.dependencies.len() > 1)
            .unwrap();
        let own = project(&plan, one);
        let list = &own
            .iter()
            .find(|(at, _)| at.ends_with("build.list"))
            .unwrap()
            .1;
        assert_eq!(
            list.lines().count(),
            one.sources.len() + one.dependencies.len()
        );
    }
}
