//! Treemaps: sizes as areas, drawn as SVG.
//!
//! Rectangles are laid out as Bruls, Huizing and van Wijk have it in "Squarified Treemaps" (2000): rows along the shorter
//! side, each as long as its rectangles get squarer by it. A cell with cells of its own gives them all of its area, so
//! that areas are to scale across the whole map.

use std::borrow::Cow;

use bedplate_core::bytes::bytes;

use super::markup::Markup;
use super::svg::{About, drawing, number, rectangle};

/// Something that has a size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it is called, to the last letter.
    pub name: String,
    /// What it is called where there is little room.
    pub short: String,
    /// Its size in bytes; of a cell with cells of its own, theirs together.
    pub size: u64,
    /// The class of its colour.
    pub class: &'static str,
    /// What it is made of, where that is told.
    pub inner: Vec<Cell>,
}

/// A rectangle, in units of the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectangle {
    /// The left edge.
    pub x: f64,
    /// The upper edge.
    pub y: f64,
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
}

/// How large a letter of a label is taken to be, with a margin.
const LETTER: (f64, f64) = (6.8, 15.0);
/// The least of a name that tells something.
const LEAST_LETTERS: usize = 6;

/// Draws a map.
pub fn draw(markup: &mut Markup, about: About<'_>, cells: &[Cell]) {
    let total = cells.iter().map(|cell| cell.size).sum();
    // A narrow screen has another map and not a smaller one, whose labels nobody could read.
    for (class, width, height) in [("wide", 960.0, 480.0), ("narrow", 360.0, 520.0)] {
        drawing(markup, about, class, (width, height), |markup| {
            let frame = Rectangle { x: 0.0, y: 0.0, width, height };
            for (cell, place) in cells.iter().zip(squarified(&sizes(cells), frame)) {
                draw_cell(markup, cell, place, total);
            }
        });
    }
}

fn draw_cell(markup: &mut Markup, cell: &Cell, place: Rectangle, total: u64) {
    if cell.inner.is_empty() {
        return draw_leaf(markup, cell, place, total);
    }
    for (inner, place) in cell.inner.iter().zip(squarified(&sizes(&cell.inner), place)) {
        draw_cell(markup, inner, place, total);
    }
    let Rectangle { x, y, width, height } = place.rounded();
    rectangle(markup, "frame", (x, y), (width, height));
}

fn draw_leaf(markup: &mut Markup, cell: &Cell, place: Rectangle, total: u64) {
    let Rectangle { x, y, width, height } = place.rounded();
    // What is smaller than a point is in the table alone.
    if width < 1.0 || height < 1.0 {
        return;
    }
    markup.element("g", &[("class", cell.class)], |markup| {
        let told = format!("{}: {}, {}", cell.name, bytes(cell.size), share(cell.size, total));
        markup.leaf("title", &[], &told);
        rectangle(markup, "", (x, y), (width, height));
        let Some(label) = label(cell, width, height) else { return };
        let (left, line) = (number(x + 5.0), number(y + 15.0));
        markup.leaf("text", &[("x", &left), ("y", &line)], &label);
        let size = bytes(cell.size);
        if height >= 2.5 * LETTER.1 && size.chars().count() <= letters(width) {
            markup.leaf("text", &[("class", "size"), ("x", &left), ("y", &number(y + 30.0))], &size);
        }
    });
}

/// The longest name that there is room for, or the beginning of the short one; none where that would tell nothing.
fn label(cell: &Cell, width: f64, height: f64) -> Option<Cow<'_, str>> {
    if height < LETTER.1 + 4.0 {
        return None;
    }
    let room = letters(width);
    let names = [cell.name.as_str(), cell.short.as_str()];
    if let Some(name) = names.into_iter().find(|name| name.chars().count() <= room) {
        return Some(name.into());
    }
    let beginning = || cell.short.chars().take(room - 1).chain(['…']).collect::<String>();
    (room >= LEAST_LETTERS).then(|| beginning().into())
}

/// How many letters there is room for.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a drawing has a few hundred points"
)]
fn letters(width: f64) -> usize {
    ((width - 8.0) / LETTER.0).max(0.0) as usize
}

fn sizes(cells: &[Cell]) -> Vec<u64> {
    cells.iter().map(|cell| cell.size).collect()
}

/// A part of a whole: `12 %`.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub fn share(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    match percent {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.05 => "< 0.1 %".to_owned(),
        percent if percent < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

impl Rectangle {
    /// The same with edges that are drawn: neighbours have one edge, however it is rounded.
    fn rounded(self) -> Self {
        let round = |value: f64| (value * 10.0).round() / 10.0;
        let (x, y) = (round(self.x), round(self.y));
        let (width, height) = (round(self.x + self.width) - x, round(self.y + self.height) - y);
        Self { x, y, width, height }
    }
}

/// Lays out sizes in a frame, the largest first, and returns the place of each in the order they were given.
#[expect(clippy::cast_precision_loss, reason = "a drawing has a few hundred points")]
pub fn squarified(sizes: &[u64], frame: Rectangle) -> Vec<Rectangle> {
    let total: u64 = sizes.iter().sum();
    let nothing = Rectangle { width: 0.0, height: 0.0, ..frame };
    let mut places = vec![nothing; sizes.len()];
    if total == 0 {
        return places;
    }
    let scale = frame.width * frame.height / total as f64;
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&index| sizes[index] > 0).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(sizes[index]), index));
    let areas: Vec<f64> = order.iter().map(|&index| sizes[index] as f64 * scale).collect();
    let (mut rest, mut from) = (frame, 0);
    while from < areas.len() {
        let side = rest.width.min(rest.height);
        let mut to = from + 1;
        while to < areas.len() && worst(&areas[from..=to], side) <= worst(&areas[from..to], side) {
            to += 1;
        }
        // The last row takes what is left, so that no gap is left by rounding.
        let last = to == areas.len();
        rest = row(&areas[from..to], rest, last, &mut |at, place| places[order[from + at]] = place);
        from = to;
    }
    places
}

/// The ratio of sides of the least square rectangle in a row along a side.
fn worst(areas: &[f64], side: f64) -> f64 {
    let sum: f64 = areas.iter().sum();
    let thickness = sum / side;
    areas
        .iter()
        .map(|area| area / thickness)
        .map(|length| (length / thickness).max(thickness / length))
        .fold(0.0, f64::max)
}

/// Places a row along the shorter side, and returns what is left.
fn row(areas: &[f64], rest: Rectangle, last: bool, place: &mut impl FnMut(usize, Rectangle)) -> Rectangle {
    let upright = rest.width >= rest.height;
    let side = if upright { rest.height } else { rest.width };
    let depth = if upright { rest.width } else { rest.height };
    let sum: f64 = areas.iter().sum();
    let thickness = if last { depth } else { (sum / side).min(depth) };
    let mut at = 0.0;
    for (number, area) in areas.iter().enumerate() {
        let length = if number + 1 == areas.len() { side - at } else { side * area / sum };
        let rectangle = match upright {
            true => Rectangle { x: rest.x, y: rest.y + at, width: thickness, height: length },
            false => Rectangle { x: rest.x + at, y: rest.y, width: length, height: thickness },
        };
        place(number, rectangle);
        at += length;
    }
    match upright {
        true => Rectangle { x: rest.x + thickness, width: rest.width - thickness, ..rest },
        false => Rectangle { y: rest.y + thickness, height: rest.height - thickness, ..rest },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Rectangle = Rectangle { x: 10.0, y: 20.0, width: 600.0, height: 400.0 };

    fn layouts() -> Vec<Vec<u64>> {
        vec![
            vec![6, 6, 4, 3, 2, 2, 1],
            vec![1],
            vec![0, 5, 0],
            vec![1, 1_000_000_000, 3, 77_777, 1],
            (1..250).map(|n| n * n * 7919 % 65_537).collect(),
        ]
    }

    #[test]
    fn areas_are_to_scale_and_fill_the_frame() {
        for sizes in layouts() {
            let total: u64 = sizes.iter().sum();
            let places = squarified(&sizes, FRAME);
            let area = FRAME.width * FRAME.height;
            for (size, place) in sizes.iter().zip(&places) {
                let expected = *size as f64 / total as f64 * area;
                assert!(
                    (place.width * place.height - expected).abs() < 1e-6 * area,
                    "{size} of {total}: {place:?}"
                );
            }
            let sum: f64 = places.iter().map(|place| place.width * place.height).sum();
            assert!((sum - area).abs() < 1e-6 * area, "{sum}");
        }
    }

    #[test]
    fn rectangles_neither_overlap_nor_leave_the_frame() {
        for sizes in layouts() {
            let places: Vec<Rectangle> =
                squarified(&sizes, FRAME).iter().map(|place| place.rounded()).collect();
            let close = 1e-6;
            for (number, one) in places.iter().enumerate() {
                assert!(
                    one.x >= FRAME.x - close && one.x + one.width <= FRAME.x + FRAME.width + close,
                    "{one:?}"
                );
                assert!(
                    one.y >= FRAME.y - close && one.y + one.height <= FRAME.y + FRAME.height + close,
                    "{one:?}"
                );
                for other in &places[number + 1..] {
                    let beside =
                        one.x + one.width <= other.x + close || other.x + other.width <= one.x + close;
                    let above =
                        one.y + one.height <= other.y + close || other.y + other.height <= one.y + close;
                    let empty = [one, other].iter().any(|place| place.width * place.height == 0.0);
                    assert!(beside || above || empty, "{one:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn the_layout_is_that_of_the_paper() {
        // Section 3.2: 6, 6, 4, 3, 2, 2, 1 in a frame of 6 x 4.
        let frame = Rectangle { x: 0.0, y: 0.0, width: 6.0, height: 4.0 };
        let places = squarified(&[6, 6, 4, 3, 2, 2, 1], frame);
        assert_eq!(places[0], Rectangle { x: 0.0, y: 0.0, width: 3.0, height: 2.0 });
        assert_eq!(places[1], Rectangle { x: 0.0, y: 2.0, width: 3.0, height: 2.0 });
        assert!((places[2].width - 12.0 / 7.0).abs() < 1e-9 && (places[2].height - 7.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_label_is_drawn_where_there_is_room() {
        let cell = Cell { name: "/usr/lib/modules".into(), short: "modules".into(), ..Cell::default() };
        let drawn = |width, height| label(&cell, width, height).map(Cow::into_owned);
        assert_eq!(drawn(200.0, 30.0).as_deref(), Some("/usr/lib/modules"));
        assert_eq!(drawn(70.0, 30.0).as_deref(), Some("modules"));
        assert_eq!(drawn(50.0, 30.0).as_deref(), Some("modul…"));
        assert_eq!(drawn(40.0, 30.0), None);
        assert_eq!(drawn(200.0, 10.0), None);
    }

    #[test]
    fn a_share_is_as_exact_as_it_is_read() {
        assert_eq!(share(1, 3), "33 %");
        assert_eq!(share(1, 40), "2.5 %");
        assert_eq!(share(1, 1_000_000), "< 0.1 %");
        assert_eq!(share(0, 0), "0 %");
    }
}
