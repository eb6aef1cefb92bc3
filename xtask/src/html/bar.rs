//! Disks drawn to scale, one below the other, as SVG.

use super::markup::Markup;
use super::svg::{About, drawing, number, rectangle};

/// A disk.
#[derive(Debug)]
pub struct Bar {
    /// What is written above it.
    pub name: String,
    /// How large it is, in bytes.
    pub size: u64,
    /// What is on it, in its order.
    pub parts: Vec<Part>,
}

/// A part of a disk.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// Its number in the table beside the drawing.
    pub number: String,
    /// Where it begins, in bytes.
    pub start: u64,
    /// How large it is, in bytes.
    pub size: u64,
    /// How much of it is in use, where that is known.
    pub used: Option<u64>,
    /// The class of its colour.
    pub class: &'static str,
}

/// What a bar takes of the drawing: its name, the numbers, the bar itself and a margin.
const HEIGHT: f64 = 96.0;
/// The upper edge of the bar in it, and how high it is.
const EDGE: (f64, f64) = (44.0, 36.0);
/// How far numbers are apart at least.
const APART: f64 = 17.0;

/// Draws disks in one scale.
pub fn draw(markup: &mut Markup, about: About<'_>, bars: &[Bar]) {
    let largest = bars.iter().map(|bar| bar.size).max().unwrap_or_default();
    let height: f64 = bars.iter().map(|_| HEIGHT).sum();
    for (class, width) in [("wide", 960.0), ("narrow", 360.0)] {
        drawing(markup, about, class, (width, height), |markup| {
            let mut top = 0.0;
            for bar in bars {
                draw_bar(markup, bar, top, Scale { largest, width });
                top += HEIGHT;
            }
        });
    }
}

/// How many points a byte has.
#[derive(Debug, Clone, Copy)]
struct Scale {
    largest: u64,
    width: f64,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "a drawing has a few hundred points")]
    fn of(self, bytes: u64) -> f64 {
        if self.largest == 0 { 0.0 } else { bytes as f64 * self.width / self.largest as f64 }
    }
}

fn draw_bar(markup: &mut Markup, bar: &Bar, top: f64, scale: Scale) {
    let (edge, height) = (top + EDGE.0, EDGE.1);
    markup.leaf("text", &[("class", "name"), ("x", "0"), ("y", &number(top + 14.0))], &bar.name);
    rectangle(markup, "free", (0.0, edge), (scale.of(bar.size), height));
    for part in &bar.parts {
        markup.element("g", &[("class", part.class)], |markup| {
            markup.leaf("title", &[], &part.name);
            let (left, width) = (scale.of(part.start), scale.of(part.size));
            rectangle(markup, "part", (left, edge), (width, height));
            if let Some(used) = part.used {
                rectangle(markup, "used", (left, edge + height - 6.0), (scale.of(used.min(part.size)), 6.0));
            }
        });
    }
    let middles: Vec<f64> =
        bar.parts.iter().map(|part| scale.of(part.start) + scale.of(part.size) / 2.0).collect();
    for ((part, middle), place) in bar.parts.iter().zip(&middles).zip(spread(&middles, scale.width)) {
        let (x, y) = (number(place), number(top + 32.0));
        markup.leaf("text", &[("class", "number"), ("x", &x), ("y", &y)], &part.number);
        let line = [("x1", x), ("y1", number(top + 35.0)), ("x2", number(*middle)), ("y2", number(edge))];
        let line = line.each_ref().map(|(name, value)| (*name, value.as_str()));
        markup.void("line", &line);
    }
}

/// Moves places that are in order apart until labels fit between them, within a width where that is wide enough.
fn spread(places: &[f64], width: f64) -> Vec<f64> {
    let half = APART / 2.0;
    let mut spread: Vec<f64> = Vec::with_capacity(places.len());
    for place in places {
        let least = spread.last().map_or(half, |last| last + APART);
        spread.push(place.max(least));
    }
    let mut most = width - half;
    for place in spread.iter_mut().rev() {
        *place = place.min(most);
        most = *place - APART;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_drawn_to_scale() {
        let part = |start, size| Part {
            name: "a & b".into(),
            number: "1".into(),
            start,
            size,
            used: Some(size / 2),
            class: "c1",
        };
        let bars = [
            Bar { name: "image".into(), size: 500, parts: vec![part(100, 200), part(300, 50)] },
            Bar { name: "device".into(), size: 1000, parts: vec![part(0, 1000)] },
        ];
        let mut markup = Markup::default();
        draw(&mut markup, About { id: "disk", title: "Disks", description: "" }, &bars);
        let text = markup.document();
        // 960 and 360 points are 1000 bytes.
        for drawn in [
            r#"class="free" x="0" y="44" width="480""#,
            r#"class="part" x="96" y="44" width="192""#,
            r#"class="used" x="96" y="74" width="96""#,
            r#"class="part" x="288" y="44" width="48""#,
            r#"class="part" x="0" y="140" width="960""#,
            r#"class="part" x="36" y="44" width="72""#,
        ] {
            assert!(text.contains(drawn), "{drawn}\n{text}");
        }
    }

    #[test]
    fn numbers_stand_apart_and_in_order() {
        let places = spread(&[1.0, 2.0, 300.0, 359.0, 359.5], 360.0);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= APART - 1e-9), "{places:?}");
        assert!(places[0] >= 8.0 && places[4] <= 352.0, "{places:?}");
        assert_eq!(places[2], 300.0);
    }
}
