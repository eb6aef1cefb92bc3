use bedplate_core::*;

fn main() {
    let _ = User::new("alice").login(Login::Password("hunter2"));
    let _ = User::new("alice").password("hunter2");
}
