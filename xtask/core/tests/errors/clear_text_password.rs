use bedplate_core::*;

fn main() {
    let _ = User::new("operator").login(Login::Password("hunter2"));
    let _ = User::new("operator").password("hunter2");
}
