//! Answers to the questions that packages ask, in debconf's database before
//! any package is configured.
//!
//! A question is what a `templates` control file has under its name:
//! <https://manpages.debian.org/debconf-devel.7>.
//!
//! Deliberately absent: passwords. An image is no place for one.

use anyhow::Result;
use bedplate_core::plan::AnswerPlan;
use bedplate_core::{Answer, spelling};
use bedplate_formats::deb::Control;

use crate::error::LocatedError;

/// A question of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Its name: `wireshark-common/install-setuid`.
    pub name: String,
    /// `boolean`, `string`, `select`, ….
    kind: String,
    /// What a `select` or `multiselect` takes; none where a script decides.
    choices: Option<Vec<String>>,
}

/// Kinds of templates that only tell something.
const TELLING: [&str; 4] = ["note", "error", "title", "text"];

impl Template {
    /// Whether it can be answered in a description.
    pub fn is_question(&self) -> bool {
        !TELLING.contains(&self.kind.as_str()) && self.kind != "password"
    }

    /// The call that answers it.
    pub fn call(&self) -> String {
        match (self.kind.as_str(), self.choices.as_deref()) {
            ("boolean", _) => format!("`.debconf({:?}, true)`", self.name),
            (_, Some([first, ..])) => format!("`.debconf({:?}, {first:?})`", self.name),
            _ => format!("`.debconf({:?}, \"…\")`", self.name),
        }
    }

    /// What is wrong with an answer: the end of a message, and what helps.
    fn refuses(&self, answer: &Answer) -> Option<(String, String)> {
        let (name, text) = (&self.name, answer.as_str());
        match (self.kind.as_str(), answer) {
            ("password", _) => Some((
                format!("`{name}` asks for a password, which everybody with the image would have"),
                "remove the line, and set the password on the device".into(),
            )),
            (kind, _) if TELLING.contains(&kind) => {
                Some((format!("`{name}` asks nothing: it is of the type `{kind}`"), "remove the line".into()))
            }
            ("boolean", Answer::Text(_)) if !["true", "false"].contains(&text) => {
                Some((format!("`{text}` does not answer `{name}`"), "write `true` or `false`".into()))
            }
            ("select" | "multiselect", _) => {
                let choices = self.choices.as_ref()?;
                let several = self.kind == "multiselect";
                let given: Vec<&str> = if several { text.split(", ").collect() } else { vec![text] };
                let wrong =
                    given.into_iter().find(|one| !one.is_empty() && !choices.iter().any(|c| c == one))?;
                let help = format!("write one of `{}`", choices.join("`, `"));
                Some((format!("`{wrong}` does not answer `{name}`"), help))
            }
            _ => None,
        }
    }
}

/// The questions of a package.
pub(super) fn templates(control: &Control) -> Vec<Template> {
    let bytes = control.file("templates").map_or(&[][..], |file| &file.bytes);
    parse(&String::from_utf8_lossy(bytes))
}

fn parse(text: &str) -> Vec<Template> {
    let paragraphs = text.split("\n\n");
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    };
    let template = |paragraph: &str| {
        let choices = field(paragraph, "Choices-C").or_else(|| field(paragraph, "Choices"));
        Some(Template {
            name: field(paragraph, "Template")?,
            kind: field(paragraph, "Type").unwrap_or_default(),
            // `${…}` is what the script puts there.
            choices: choices.filter(|text| !text.contains("${") && !text.is_empty()).map(|text| split(&text)),
        })
    };
    paragraphs.filter_map(template).collect()
}

/// Choices stand between commas; a comma of their own has a backslash before it.
fn split(text: &str) -> Vec<String> {
    let mut choices = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let last = choices.len() - 1;
        match character {
            '\\' => choices[last].extend(characters.next()),
            ',' => choices.push(String::new()),
            other => choices[last].push(other),
        }
    }
    choices.into_iter().map(|choice| choice.trim().to_owned()).collect()
}

/// The lines of debconf-set-selections(1) that give the answers.
///
/// # Errors
/// A question that no package asks, or an answer it does not take, at its line.
pub(super) fn selections(controls: &[Control], answers: &[AnswerPlan]) -> Result<String> {
    let asked: Vec<(&str, Template)> = controls
        .iter()
        .flat_map(|control| templates(control).into_iter().map(|template| (control.package(), template)))
        .collect();
    select(&asked, answers)
}

fn select(asked: &[(&str, Template)], answers: &[AnswerPlan]) -> Result<String> {
    let mut lines = String::new();
    for AnswerPlan { name, answer, at } in answers {
        let problem = |message: String, help: String| LocatedError {
            message,
            at: at.clone(),
            word: Some(name.clone()),
            help,
        };
        let mut asking = asked.iter().filter(|(_, template)| template.name == *name).peekable();
        if asking.peek().is_none() {
            let known = asked.iter().filter(|(_, template)| template.is_question());
            let nearest = spelling::nearest(name, known.map(|(_, template)| template.name.as_str()));
            let help = match nearest {
                Some(nearest) => format!("write `{nearest}`"),
                None => "add the package that asks it, or remove the line".into(),
            };
            return Err(problem(format!("no package of the image asks `{name}`"), help).into());
        }
        for (package, template) in asking {
            if let Some((message, help)) = template.refuses(answer) {
                return Err(problem(message, help).into());
            }
            lines.push_str(&format!("{package} {name} {} {}\n", template.kind, answer.as_str()));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use bedplate_core::{AnswerText, SourceLocation};

    use super::*;

    const TEMPLATES: &str = "Template: agent/accept\nType: boolean\nDefault: false\nDescription: Accept?\n More.\n\n\
        Template: agent/mode\nType: select\nChoices: fast, slow\\, but safe\nDescription: Mode\n\n\
        Template: agent/site\nType: select\nChoices: ${sites}\n\nTemplate: agent/key\nType: password\n\n\
        Template: agent/hello\nType: note\nDescription: Hello\n";

    fn answered(name: &str, answer: Answer) -> Result<String> {
        let asked: Vec<(&str, Template)> = parse(TEMPLATES).into_iter().map(|t| ("agent", t)).collect();
        let at = Some(SourceLocation { file: "image/main.rs".into(), line: 1, column: 1 });
        select(&asked, &[AnswerPlan { name: name.into(), answer, at }])
    }

    fn text(text: &str) -> Answer {
        Answer::Text(text.parse::<AnswerText>().unwrap())
    }

    fn refused(name: &str, answer: Answer) -> String {
        let error = answered(name, answer).unwrap_err();
        let problem = error.downcast_ref::<LocatedError>().unwrap();
        assert!(problem.at.is_some());
        format!("{}; {}", problem.message, problem.help)
    }

    /// Case 35.
    #[test]
    fn answers_become_selections_of_the_package_that_asks() {
        assert_eq!(
            answered("agent/accept", Answer::Flag(true)).unwrap(),
            "agent agent/accept boolean true\n"
        );
        let chosen = answered("agent/mode", text("slow, but safe")).unwrap();
        assert_eq!(chosen, "agent agent/mode select slow, but safe\n");
        assert!(answered("agent/site", text("north")).is_ok(), "the script knows the choices");
    }

    #[test]
    fn what_a_question_does_not_take_is_refused_at_its_line() {
        assert_eq!(
            refused("agent/acept", Answer::Flag(true)),
            "no package of the image asks `agent/acept`; write `agent/accept`"
        );
        assert_eq!(
            refused("agent/accept", text("maybe")),
            "`maybe` does not answer `agent/accept`; write `true` or `false`"
        );
        assert_eq!(
            refused("agent/mode", Answer::Flag(true)),
            "`true` does not answer `agent/mode`; write one of `fast`, `slow, but safe`"
        );
        assert!(refused("agent/key", text("secret")).contains("everybody with the image"));
        assert!(refused("agent/hello", Answer::Flag(true)).contains("asks nothing"));
    }

    #[test]
    fn a_question_tells_the_call_that_answers_it() {
        let calls: Vec<String> =
            parse(TEMPLATES).iter().filter(|t| t.is_question()).map(Template::call).collect();
        assert_eq!(
            calls,
            [
                "`.debconf(\"agent/accept\", true)`",
                "`.debconf(\"agent/mode\", \"fast\")`",
                "`.debconf(\"agent/site\", \"…\")`"
            ]
        );
    }
}
