//! The way of a newcomer: a project of one's own, built and started.

use crate::product::{self, success};
use crate::project::{compiled, make};

#[test]
fn a_new_project_is_built_and_logs_its_boots_on_the_data_partition() {
    if !product::all() {
        return;
    }
    let project = make("newcomer", &["--release", "trixie"]);
    success(compiled(&project, "image/main.rs", &["--crate-name", "xtask"]).arg("image"));

    let mut guest = product::machine(&project.join("build/newcomer")).start().unwrap();
    guest.wait_unit("boots.service").unwrap();
    assert_eq!(guest.check("wc --lines </local/persistent/var/lib/boots/log").unwrap().trim(), "1");
}
