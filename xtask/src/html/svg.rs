//! Drawings, as SVG.

use super::markup::Markup;

/// The classes of the colours that parts of a drawing have, in turn.
pub const COLOURS: [&str; 6] = ["c1", "c2", "c3", "c4", "c5", "c6"];

/// What a drawing is, for readers who do not see it.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// What its elements are named by; no other drawing of the page has it.
    pub id: &'a str,
    /// Its title.
    pub title: &'a str,
    /// What is to be seen in it.
    pub description: &'a str,
}

/// A drawing for one width of the screen, `class`, of this width and height.
pub fn drawing(
    markup: &mut Markup,
    About { id, title, description }: About<'_>,
    class: &str,
    (width, height): (f64, f64),
    inside: impl FnOnce(&mut Markup),
) {
    let (titled, described) = (format!("{id}-{class}-title"), format!("{id}-{class}-desc"));
    let labelled = format!("{titled} {described}");
    let view = format!("0 0 {width} {height}");
    let attributes = [("class", class), ("viewBox", &view), ("role", "img"), ("aria-labelledby", &labelled)];
    markup.element("svg", &attributes, |markup| {
        markup.leaf("title", &[("id", &titled)], title);
        markup.leaf("desc", &[("id", &described)], description);
        inside(markup);
    });
}

/// A rectangle; with an empty class it has none.
pub fn rectangle(markup: &mut Markup, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
    let (x, y, width, height) = (number(x), number(y), number(width), number(height));
    let attributes = [("class", class), ("x", &x), ("y", &y), ("width", &width), ("height", &height)];
    markup.void("rect", if class.is_empty() { &attributes[1..] } else { &attributes });
}

/// A length with one digit after the point, and none where it is zero.
pub fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}
