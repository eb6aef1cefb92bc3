use super::*;

const NAMES: Names = Names { words: &["PATH", "UNIT"], conditions: &["GROWS"], lines: &["ROWS"] };

fn fill(file: &'static str, text: &'static str, path: Value, grows: bool) -> Result<String, Unfit> {
    NAMES.check(text);
    let lines = [vec!["one".to_string(), "two".to_string()]];
    let words = [path, units([r"dev-my\x2ddata.device"])];
    Template { file, text, names: NAMES, words: &words, conditions: &[grows], lines: &lines }.fill()
}

const UNIT: &str = "# About the file.\n\n[Unit]\n# About a line.\n@GROWS?@Wants=@PATH@\nAfter=@UNIT@ a@b.service\n\
                    @ROWS@\n@SANDBOX@\n";

#[test]
fn names_stand_for_words_conditions_and_lines() {
    let text = fill("units/a.service", UNIT, "/a-b".into(), true).unwrap();
    let expected =
        "[Unit]\n# About a line.\nWants=/a-b\nAfter=dev-my\\x2ddata.device a@b.service\none\ntwo\nNoNew";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains("SystemCallFilter=@system-service\n") && text.ends_with("\nUMask=0077\n"),
        "{text}"
    );
    let text = fill("units/a.service", UNIT, "/a-b".into(), false).unwrap();
    assert!(text.starts_with("[Unit]\n# About a line.\nAfter="), "{text}");
}

#[test]
fn a_value_that_means_something_else_is_refused() {
    let unit = |value: Value| fill("units/a.service", UNIT, value, true);
    for value in ["", "a b", "a\nb", "a\tb", "it's", "a\"b", "100%", "$HOME", r"a\b"] {
        assert_eq!(unit(value.into()).unwrap_err().value, value);
    }
    assert!(
        unit(words(["a", ""])).is_err() && unit(words([""; 0])).is_err() && unit(words(["a", "b"])).is_ok()
    );
    assert!(unit(Value::Quoted("a".to_string())).is_err());
    assert!(unit("a;b".into()).is_ok());

    const SCRIPT: &str = "#!/bin/sh\n@GROWS?@echo @PATH@\n@ROWS@\n";
    const OF_SCRIPT: Names = Names { words: &["PATH"], ..NAMES };
    let script = |value: Value| {
        let lines = [vec!["a\nb".to_string()]];
        let lines = if matches!(&value, Value::Word(word) if word == "lines") { &lines[..] } else { &[] };
        let words = [value];
        let file = "scripts/a.sh";
        Template { file, text: SCRIPT, names: OF_SCRIPT, words: &words, conditions: &[true], lines }.fill()
    };
    for value in ["a;b", "a(b", "*", "a`b"] {
        assert_eq!(script(value.into()).unwrap_err().value, value);
    }
    assert_eq!(script("lines".into()).unwrap_err().value, "a\nb");
    let text = script(Value::Quoted("it's".to_string())).unwrap();
    assert!(text.starts_with("#!/bin/sh\necho 'it'\\''s'\n"), "{text}");
}

#[test]
#[should_panic(expected = "a name in the file has no value of its kind")]
fn a_name_without_a_value_does_not_compile() {
    NAMES.check("@PATH@ @OTHER@\n");
}

#[test]
#[should_panic(expected = "a value has no name in the file")]
fn a_value_without_a_name_does_not_compile() {
    NAMES.check("a @PATH@ b\n");
}

#[test]
#[should_panic(expected = "a name is not closed by `@`")]
fn a_name_that_is_not_closed_does_not_compile() {
    NAMES.check("What=@PATH\n");
}

#[test]
#[should_panic(expected = "a condition does not begin its line")]
fn a_condition_within_a_line_does_not_compile() {
    NAMES.check("What=@GROWS?@\n");
}
