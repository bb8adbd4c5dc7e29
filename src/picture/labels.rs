//! Labels that neither meet each other nor cover a mark: greedy, in the order of importance, nearest free place.

use super::svg::Pt;

/// An upright box on the canvas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Rect {
    pub fn around(centre: Pt, w: f64, h: f64) -> Self {
        Self { x: centre.x - w / 2.0, y: centre.y - h / 2.0, w, h }
    }

    pub fn centre(&self) -> Pt {
        Pt { x: self.x + self.w / 2.0, y: self.y + self.h / 2.0 }
    }

    pub fn meets(&self, other: &Self) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }

    pub fn holds(&self, p: Pt) -> bool {
        p.x >= self.x && p.x <= self.x + self.w && p.y >= self.y && p.y <= self.y + self.h
    }

    fn holds_rect(&self, r: &Self) -> bool {
        self.holds(Pt { x: r.x, y: r.y }) && self.holds(r.to_corner())
    }

    fn to_corner(self) -> Pt {
        Pt { x: self.x + self.w, y: self.y + self.h }
    }

    /// The point of the box nearest to `p`.
    pub fn nearest(&self, p: Pt) -> Pt {
        Pt { x: p.x.clamp(self.x, self.x + self.w), y: p.y.clamp(self.y, self.y + self.h) }
    }
}

/// The room that is left.
pub struct Placer {
    frame: Rect,
    taken: Vec<Rect>,
    /// Better not covered: the shore line.
    lines: Vec<Pt>,
}

/// Where a label may go, in the order liked: degrees, 0 to the right, clockwise.
const DIRECTIONS: [f64; 8] = [90.0, 270.0, 0.0, 180.0, 45.0, 135.0, 315.0, 225.0];

impl Placer {
    pub fn new(frame: Rect, lines: Vec<Pt>) -> Self {
        Self { frame, taken: Vec::new(), lines }
    }

    /// Nothing may cover this.
    pub fn block(&mut self, rect: Rect) {
        self.taken.push(rect);
    }

    /// Takes the cheapest free box of `w` × `h` around the mark of radius `reach` at `at`; `None` if all is taken.
    /// `liking` adds to the cost, in pixels of distance.
    pub fn place(
        &mut self,
        at: Pt,
        reach: f64,
        size: (f64, f64),
        liking: impl Fn(usize, &Rect) -> f64,
    ) -> Option<Rect> {
        let (_, rect) = self.cheapest(at, reach, size, liking)?;
        self.keep(rect);
        Some(rect)
    }

    /// The same for a label that may go to any of several spots, the first liked best.
    pub fn place_along(
        &mut self,
        spots: impl IntoIterator<Item = Pt>,
        size: (f64, f64),
        liking: impl Fn(usize, &Rect) -> f64,
    ) -> Option<Rect> {
        let mut best: Option<(f64, Rect)> = None;
        let mut later = 0.0;
        for at in spots {
            if let Some((cost, rect)) = self.cheapest(at, 2.0, size, &liking)
                && best.is_none_or(|(least, _)| cost + later < least)
            {
                best = Some((cost + later, rect));
            }
            later += 1.5;
        }
        let (_, rect) = best?;
        self.keep(rect);
        Some(rect)
    }

    fn keep(&mut self, rect: Rect) {
        self.taken.push(Rect { x: rect.x - 4.0, w: rect.w + 8.0, ..rect });
    }

    fn cheapest(
        &self,
        at: Pt,
        reach: f64,
        (w, h): (f64, f64),
        liking: impl Fn(usize, &Rect) -> f64,
    ) -> Option<(f64, Rect)> {
        let mut best: Option<(f64, Rect)> = None;
        for gap in [3.0, 9.0, 17.0, 27.0, 40.0] {
            for (i, angle) in DIRECTIONS.iter().enumerate() {
                let (dy, dx) = angle.to_radians().sin_cos();
                let far = reach + gap;
                let rect = Rect::around(at.to(dx * (far + w / 2.0), dy * (far + h / 2.0)), w, h);
                if !self.frame.holds_rect(&rect) || self.taken.iter().any(|t| t.meets(&rect)) {
                    continue;
                }
                let cost = gap + 8.0 * self.lines_in(&rect) + liking(i, &rect);
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, rect));
                }
            }
        }
        best
    }

    /// Takes `rect` if it is free.
    pub fn take(&mut self, rect: Rect) -> bool {
        let free = self.frame.holds_rect(&rect)
            && self.lines_in(&rect) < 0.5
            && !self.taken.iter().any(|t| t.meets(&rect));
        if free {
            self.keep(rect);
        }
        free
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
    fn lines_in(&self, rect: &Rect) -> f64 {
        let Rect { x, y, w, h } = *rect;
        // Half the width of a walked shore.
        let rect = Rect { x: x - 2.5, y: y - 2.5, w: w + 5.0, h: h + 5.0 };
        self.lines.iter().filter(|&&p| rect.holds(p)).count() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_one_spot_do_not_meet() {
        let mut placer = Placer::new(Rect { x: 0.0, y: 0.0, w: 400.0, h: 300.0 }, Vec::new());
        let at = Pt { x: 200.0, y: 150.0 };
        let mark = Rect::around(at, 16.0, 16.0);
        placer.block(mark);
        let placed: Vec<Rect> =
            (0..12).filter_map(|_| placer.place(at, 8.0, (60.0, 16.0), |_, _| 0.0)).collect();
        assert!(placed.len() >= 6, "{}", placed.len());
        for (i, a) in placed.iter().enumerate() {
            assert!(!a.meets(&mark));
            assert!(placed[i + 1..].iter().all(|b| !a.meets(b)));
        }
    }

    #[test]
    fn nothing_is_placed_where_there_is_no_room() {
        let mut placer = Placer::new(Rect { x: 0.0, y: 0.0, w: 50.0, h: 50.0 }, Vec::new());
        assert!(placer.place(Pt { x: 25.0, y: 25.0 }, 8.0, (60.0, 16.0), |_, _| 0.0).is_none());
    }
}
