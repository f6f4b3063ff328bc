// Bars and lines of what was.

/** Samples that are shown. */
export const HISTORY = 60;

/** A canvas in the screen's own pixels, cleared. */
function surface(canvas) {
  const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** Bars from the right, the newest last, as tall as the logarithm of their time: 20 µs is seen, and 500 ms is all. */
export function bars(canvas, times) {
  const { pen, width, height } = surface(canvas);
  const shown = times.slice(-Math.max(1, Math.floor(width / 5))); // a bar is four pixels wide or more
  const step = Math.max(5, width / HISTORY);
  pen.fillStyle = getComputedStyle(canvas).color;
  shown.forEach((time, index) => {
    if (time <= 0) return;
    const tall = Math.max(2, Math.min(1, Math.log1p(time / 0.02) / Math.log1p(500 / 0.02)) * (height - 3));
    pen.fillRect(width - (shown.length - index) * step, height - tall, Math.max(1, step - 1.5), tall);
  });
}

export function line(canvas, values) {
  const { pen, width, height } = surface(canvas);
  const [low, high] = [Math.min(...values) * 0.98, Math.max(...values) * 1.02];
  const x = (index) => width - ((values.length - 1 - index) * width) / (HISTORY - 1);
  const y = (value) => height - 3 - ((value - low) / (high - low || 1)) * (height - 6);
  pen.beginPath();
  values.forEach((value, index) => pen.lineTo(x(index), y(value)));
  pen.strokeStyle = pen.fillStyle = getComputedStyle(canvas).color;
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.stroke();
  pen.globalAlpha = 0.14;
  pen.lineTo(width, height);
  pen.lineTo(x(0), height);
  pen.fill();
  pen.globalAlpha = 1;
}
