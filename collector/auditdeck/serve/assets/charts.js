// The charts of the page, from the numbers in #charts. Text goes into the canvas or into textContent, never into markup.
"use strict";

const charts = new Map();
let numbers = null;
let printing = false;

// A colour of page.css as the theme has it now.
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function palette() {
  return [0, 1, 2, 3, 4, 5, 6].map((number) => colour(`c${number}`));
}

const whole = (number) => number.toLocaleString("en");
const short = (number) => (number >= 1e6 ? `${number / 1e6} M` : number >= 1e3 ? `${number / 1e3} k` : `${number}`);
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const last = (path) => (path.startsWith("/") ? path.slice(path.lastIndexOf("/", path.length - 2) + 1) : path);

// Labels of the axis of time, by what is round about a moment.
const MOMENTS = {
  year: "{yyyy}", month: "{d} {MMM}", day: "{d} {MMM}", hour: "{HH}:{mm}", minute: "{HH}:{mm}", second: "{HH}:{mm}:{ss}",
};

function clipped(text, length) {
  const characters = [...text];
  return characters.length <= length ? text : "…" + characters.slice(1 - length).join("");
}

function stamp(milliseconds, end) {
  const text = new Date(milliseconds).toISOString();
  return end ? text.slice(11, 16) : `${text.slice(0, 10)} ${text.slice(11, text.slice(17, 19) === "00" ? 16 : 19)}`;
}

// A tooltip's lines; the first is its heading.
function lines(...texts) {
  const box = document.createElement("div");
  box.className = "tip";
  for (const text of texts) {
    const line = document.createElement("div");
    line.textContent = text;
    box.append(line);
  }
  return box;
}

function tooltip(formatter) {
  return {
    confine: true, formatter, backgroundColor: colour("card"), borderColor: colour("line"), padding: [6, 10],
    textStyle: { color: colour("ink"), fontSize: 13, fontFamily: "inherit" },
  };
}

function over_time(time) {
  const middle = (point) => point[0] + time.step / 2;
  const series = (name, index, fill) => ({
    name, type: "bar", stack: "attempts", barCategoryGap: "12%", color: fill,
    data: time.points.map((point) => [middle(point), point[index]]),
    emphasis: { focus: "none" },
  });
  const established = series("established", 1, colour("accent"));
  if (time.holes.length) {
    established.markArea = {
      silent: true, itemStyle: { color: colour("hole") },
      data: time.holes.map(([since, until]) => [{ xAxis: since }, { xAxis: until }]),
    };
  }
  const soft = colour("soft");
  return {
    animationDuration: 300, useUTC: true,
    grid: { left: 8, right: 12, top: 30, bottom: 4, containLabel: true },
    legend: {
      top: 0, right: 8, itemWidth: 12, itemHeight: 12, textStyle: { color: soft }, selectedMode: true,
      data: ["established", "failed"],
    },
    toolbox: { show: false },
    brush: {
      xAxisIndex: 0, transformable: false, throttleType: "debounce", throttleDelay: 50,
      brushStyle: { color: colour("hole"), borderColor: colour("accent"), borderWidth: 1 },
      outOfBrush: { colorAlpha: 0.4 },
    },
    tooltip: {
      ...tooltip((bars) => {
        const [begin, connections, failed] = time.points[bars[0].dataIndex];
        return lines(
          `${stamp(begin)} – ${stamp(begin + time.step, true)} UTC`,
          `${whole(connections)} established`, `${whole(failed)} failed`,
        );
      }),
      trigger: "axis", axisPointer: { type: "shadow", shadowStyle: { color: colour("hole") } },
    },
    xAxis: {
      type: "time", min: time.since, max: time.until, axisLine: { lineStyle: { color: colour("line") } },
      axisTick: { show: false }, axisLabel: { color: soft, hideOverlap: true, formatter: MOMENTS }, splitLine: { show: false },
    },
    yAxis: {
      type: "value", minInterval: 1, splitNumber: 4, axisLabel: { color: soft, formatter: short },
      splitLine: { lineStyle: { color: colour("line") } },
    },
    series: [established, series("failed", 2, colour("failed"))],
  };
}

function ring(slices) {
  const total = slices.reduce((sum, slice) => sum + slice.value, 0);
  const colours = palette();
  return {
    animationDuration: 300,
    tooltip: tooltip((slice) => lines(slice.data.name, `${whole(slice.value)}, ${percent(slice.value / total)}`)),
    series: [{
      type: "pie", radius: ["62%", "96%"], label: { show: false }, labelLine: { show: false }, emphasis: { scaleSize: 2 },
      startAngle: 90, itemStyle: { borderColor: colour("card"), borderWidth: slices.length > 1 ? 2 : 0 },
      cursor: slices.some((slice) => slice.link) ? "pointer" : "default",
      data: slices.map((slice, place) => ({ ...slice, itemStyle: { color: colours[place] } })),
    }],
  };
}

function streams(pairs, width) {
  const colours = palette();
  const nodes = new Map();
  const order = [];
  for (const [user, program] of pairs) {
    for (const [side, name] of [["user", user], ["program", program]]) {
      const id = `${side} ${name}`;
      if (!nodes.has(id)) nodes.set(id, { name: id, shown: name, side, depth: side === "user" ? 0 : 1 });
    }
    if (!order.includes(user)) order.push(user);
  }
  for (const node of nodes.values()) {
    const other = node.shown.startsWith("other ");
    const fill = node.side === "user" && !other ? colours[order.indexOf(node.shown) % 6] : colours[6];
    node.itemStyle = { color: fill, borderWidth: 0 };
    node.label = { position: node.side === "user" ? "right" : "left" };
  }
  const total = pairs.reduce((sum, pair) => sum + pair[2], 0);
  const room = width < 600 ? 18 : 46;
  return {
    animationDuration: 300,
    tooltip: tooltip((item) => {
      const share = percent(item.value / total);
      if (item.dataType === "node") return lines(item.data.shown, `${whole(item.value)}, ${share}`);
      const [user, program] = item.data.shown;
      return lines(`${user} → ${program}`, `${whole(item.value)}, ${share}`);
    }),
    series: [{
      type: "sankey", left: 0, right: 0, top: 4, bottom: 4, nodeGap: 14, nodeWidth: 10, draggable: false,
      emphasis: { focus: "adjacency" }, layoutIterations: 32,
      label: {
        color: colour("ink"), fontSize: 12, fontFamily: "system-ui, sans-serif",
        formatter: (item) => clipped(width < 600 ? last(item.data.shown) : item.data.shown, room),
      },
      lineStyle: { color: "source", opacity: 0.28, curveness: 0.5 },
      data: [...nodes.values()],
      links: pairs.map(([user, program, value]) => ({
        source: `user ${user}`, target: `program ${program}`, value, shown: [user, program],
      })),
    }],
  };
}

function draw(id, options, ready) {
  const place = document.getElementById(id);
  if (!place) return null;
  let chart = charts.get(id);
  const fresh = !chart || chart.getDom() !== place;
  if (fresh) {
    if (chart) chart.dispose();
    chart = echarts.init(place, null, { renderer: "canvas" });
    charts.set(id, chart);
  }
  const made = options(place.clientWidth);
  chart.setOption({ ...made, animation: !printing && !matchMedia("(prefers-reduced-motion: reduce)").matches }, true);
  if (fresh && ready) ready(chart);
  return chart;
}

function go_to_span(since, until) {
  const address = new URL(location.href);
  address.searchParams.delete("span");
  address.searchParams.set("since", new Date(since).toISOString());
  address.searchParams.set("until", new Date(until).toISOString());
  location.assign(address);
}

function choose_time(chart) {
  if (!live_page()) return;
  const shortest = 1000;
  chart.on("brushEnd", (event) => {
    if (!event.areas.length) return;
    const { since: first, until: last_one } = numbers.time;
    const [since, until] = event.areas[0].coordRange.map((edge) => Math.min(Math.max(edge, first), last_one));
    if (until - since >= shortest) go_to_span(Math.floor(since / 1000) * 1000, Math.ceil(until / 1000) * 1000);
  });
  chart.getZr().on("click", (event) => {
    if (!chart.containPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY])) return;
    const { points, step } = numbers.time;
    const moment = chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
    const point = points.find((each) => each[0] <= moment && moment < each[0] + step);
    if (point && step > 1000) go_to_span(point[0], point[0] + step);
  });
}

// The next drag chooses a stretch of time; setOption forgets that.
function arm(chart) {
  if (!live_page()) return;
  const brushOption = { brushType: "lineX", brushMode: "single" };
  chart.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption });
}

function follow_links(chart) {
  chart.on("click", (event) => {
    if (event.data && event.data.link) location.assign(event.data.link);
  });
}

const live_page = () => !document.querySelector('meta[http-equiv="Content-Security-Policy"]');

function draw_all() {
  const embedded = document.getElementById("charts");
  if (!embedded) return;
  numbers = JSON.parse(embedded.textContent);
  draw("chart-users", () => ring(numbers.users), follow_links);
  draw("chart-programs", () => ring(numbers.programs), follow_links);
  const time = draw("chart-time", () => over_time(numbers.time), choose_time);
  if (time) arm(time);
  const place = document.getElementById("chart-streams");
  if (place) {
    const most = Math.max(...[0, 1].map((side) => new Set(numbers.streams.map((pair) => pair[side])).size));
    place.style.height = `${120 + 24 * most}px`;
    draw("chart-streams", (width) => streams(numbers.streams, width));
  }
  document.body.dataset.drawn = "yes";
}

addEventListener("DOMContentLoaded", draw_all);
addEventListener("theme", draw_all);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw_all);
let waiting = 0;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    for (const chart of charts.values()) chart.resize();
    draw_all();
  }, 100);
});
// Paper is white.
let chosen_theme;
addEventListener("beforeprint", () => {
  chosen_theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  printing = true;
  draw_all();
});
addEventListener("afterprint", () => {
  if (chosen_theme) document.documentElement.dataset.theme = chosen_theme;
  else delete document.documentElement.dataset.theme;
  printing = false;
  draw_all();
});
