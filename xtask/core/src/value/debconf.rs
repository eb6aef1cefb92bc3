//! Questions that packages ask, and their answers.

use super::{Malformed, value};

value! {
    /// The name of a question that a package asks through debconf: `wireshark-common/install-setuid`.
    Question, "malformed-question", "the name of a question", question
}

value! {
    /// An answer in text: one line.
    AnswerText, "malformed-question", "an answer", answer
}

fn question(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._/:".contains(c);
    if !text.chars().all(allowed) {
        return Err(Malformed::new(text, "it is not made of A-Z a-z 0-9 + - . _ : / alone"));
    }
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() < 2 || parts.contains(&"") {
        let reason = "it is not a path of names, such as `wireshark-common/install-setuid`";
        return Err(Malformed::new(text, reason));
    }
    Ok(())
}

fn answer(text: &str) -> Result<(), Malformed> {
    if text.chars().any(char::is_control) {
        return Err(Malformed::new(text, "debconf-set-selections takes one line"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn a_question_is_a_path_of_names() {
        for right in
            ["wireshark-common/install-setuid", "tzdata/Zones/Europe", "firmware-ipw2x00/license/accepted"]
        {
            assert!(Question::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "wireshark-common", "/setuid", "a//b", "a/b c", "a/b\n"] {
            assert!(Question::parse(wrong).is_err(), "{wrong}");
        }
    }
}
