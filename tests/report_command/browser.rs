//! A browser without a window that looks at a page.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a browser says of a page.
#[derive(Debug)]
pub struct Seen {
    /// Of each width.
    pub widths: Vec<Width>,
    /// Colour behind the page, and behind its first figure.
    pub ground: String,
    pub figure_ground: String,
    /// Lines of the console: errors, requests that were refused.
    pub console: Vec<String>,
}

/// The page at a width.
#[derive(Debug)]
pub struct Width {
    pub width: u32,
    /// Pixels by which something reaches beyond the window, and the first that does.
    pub overflow: u32,
    pub wide: String,
    pub height: u32,
    /// Figures that have a size.
    pub figures: u32,
}

/// The first browser on this machine; prints a line where there is none.
pub fn found() -> Option<String> {
    let works = |name: &&str| {
        let status = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(works);
    if found.is_none() {
        println!("skipped: no chromium to show the page");
    }
    found.map(str::to_owned)
}

/// A page of ours around the one to look at, in frames of both widths: it measures them, since the page itself runs nothing.
const FRAMES: &str = r#"<!doctype html><meta charset="utf-8"><body>
<iframe width="400" height="800" src="PAGE"></iframe><iframe width="1280" height="800" src="PAGE"></iframe>
<pre id="seen">not measured</pre>
<script>
window.onload = () => {
  const lines = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, root = page.documentElement, width = root.clientWidth;
    const inside = (element) => element.closest(".scroll, pre, svg") === null;
    const wide = [...page.body.querySelectorAll("*")].filter(inside).filter((e) => e.getBoundingClientRect().right > width + 1);
    const shown = [...page.querySelectorAll("figure svg, .card svg")].filter((svg) => svg.getBoundingClientRect().height > 100);
    const overflow = Math.max(root.scrollWidth - width, wide.length);
    const first = wide.slice(0, 1).map((element) => element.outerHTML.slice(0, 200).replace(/\s/g, " "));
    return [frame.width, overflow, root.scrollHeight, shown.length, first.join("")].join("\t");
  });
  const page = document.querySelector("iframe").contentDocument;
  const colours = [getComputedStyle(page.body).backgroundColor, getComputedStyle(page.querySelector("figure svg rect")).fill];
  document.getElementById("seen").textContent = [...colours, ...lines].join("\n");
};
</script>"#;

/// Looks at a page of a folder, by day or by night.
pub fn look(browser: &str, folder: &Path, page: &str, dark: bool) -> Seen {
    fs::write(folder.join("frames.html"), FRAMES.replace("PAGE", page)).unwrap();
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--allow-file-access-from-files", "--enable-logging=stderr"])
        .args(["--window-size=1800,900", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", folder.join("frames.html").display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let seen = dom
        .split_once("<pre id=\"seen\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"))
        .map(|(seen, _)| seen.to_owned());
    let seen = seen.unwrap_or_else(|| panic!("{browser} shows nothing: {log}"));
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines.len() == 4, "{seen}\n{log}");
    let width = |line: &&str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let number = |cell: usize| cells[cell].parse().unwrap();
        Width {
            width: number(0),
            overflow: number(1),
            height: number(2),
            figures: number(3),
            wide: cells[4].to_owned(),
        }
    };
    Seen {
        widths: lines[2..].iter().map(width).collect(),
        ground: lines[0].to_owned(),
        figure_ground: lines[1].to_owned(),
        console: log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect(),
    }
}
