// Are two crops the same person? ONNX Runtime and the C++ standard library, nothing else.
//
//   cmake -S samples/edge -B build && cmake --build build
//   build/compare standard.onnx a.ppm b.ppm [0.001]
//
// Prints what compare.py prints: crops are shrunk, and similarities read, as there.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Image {  // RGB, rows from the top, three bytes a pixel
    std::size_t height, width;
    std::vector<std::uint8_t> pixels;
};

struct Curve {  // what the similarities of single crops mean
    double slope, intercept;
    std::vector<std::array<double, 3>> points;  // false-match rate, similarity, share of true pairs that match
};

// ---- reading ---------------------------------------------------------------------------------------------------

std::size_t read_number(std::istream& file, const std::string& path) {
    while ((file >> std::ws).peek() == '#') file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    std::size_t number = 0;
    if (!(file >> number) || number == 0 || number > 65535)
        throw std::runtime_error(path + ": not a PPM of 8 bits (P6)");
    return number;
}

Image read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be opened");
    std::array<char, 2> kind{};
    file.read(kind.data(), kind.size());
    if (kind != std::array<char, 2>{'P', '6'}) throw std::runtime_error(path + ": not a PPM of 8 bits (P6)");
    const auto width = read_number(file, path), height = read_number(file, path);
    if (read_number(file, path) != 255) throw std::runtime_error(path + ": not a PPM of 8 bits (P6)");
    file.get();  // the one blank before the pixels
    Image image{height, width, std::vector<std::uint8_t>(height * width * 3)};
    if (!file.read(reinterpret_cast<char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size())))
        throw std::runtime_error(path + ": is cut short");
    return image;
}

// What follows "name": in JSON that reidtrack wrote; a program that has a JSON library uses that.
std::istringstream behind(const std::string& json, std::size_t from, const std::string& name) {
    const auto at = json.find("\"" + name + "\":", from);
    if (at == std::string::npos) throw std::runtime_error("the calibration has no " + name);
    return std::istringstream(json.substr(at + name.size() + 3));
}

Curve read_curve(const std::string& json) {
    const auto from = json.find("\"crops\":");
    if (from == std::string::npos)
        throw std::runtime_error("this file has no calibration; make it again with --calibrate market1501=FOLDER");
    Curve curve{};
    behind(json, from, "slope") >> curve.slope;
    behind(json, from, "intercept") >> curve.intercept;
    auto points = behind(json, from, "points");  // [[a, b, c], [a, b, c]]
    std::array<double, 3> point{};
    char mark = 0;
    points >> mark;
    while (points >> mark && mark == '[') {
        for (double& value : point) points >> value >> mark;  // its comma or bracket too
        curve.points.push_back(point);
        points >> mark;
    }
    return curve;
}

// ---- resizing --------------------------------------------------------------------------------------------------

// (wanted, count): what each of `count` pixels in a row weighs in each of those wanted.
std::vector<float> weights(std::size_t count, std::size_t wanted, bool area) {
    std::vector<float> table(wanted * count);
    const double step = static_cast<double>(count) / static_cast<double>(wanted);
    for (std::size_t i = 0; i < wanted; ++i) {
        const double start = static_cast<double>(i) * step, stop = static_cast<double>(i + 1) * step;
        const double centre = std::clamp((start + stop) / 2 - 0.5, 0.0, static_cast<double>(count - 1));
        for (std::size_t k = 0; k < count; ++k) {
            const auto pixel = static_cast<double>(k);
            const double share = area ? (std::min(stop, pixel + 1) - std::max(start, pixel)) / step
                                      : 1 - std::abs(centre - pixel);
            table[i * count + k] = static_cast<float>(std::max(share, 0.0));
        }
    }
    return table;
}

// Stretch: means of areas where the crop shrinks in both directions, else bilinear.
Image resized(const Image& crop, std::size_t height, std::size_t width) {
    if (crop.height == height && crop.width == width) return crop;
    const bool area = crop.height > height && crop.width > width;
    const auto down = weights(crop.height, height, area), across = weights(crop.width, width, area);
    std::vector<float> rows(height * crop.width * 3);
    for (std::size_t i = 0; i < height; ++i)
        for (std::size_t k = 0; k < crop.height; ++k)
            if (const float weight = down[i * crop.height + k]; weight > 0)
                for (std::size_t j = 0; j < crop.width * 3; ++j)
                    rows[i * crop.width * 3 + j] += weight * static_cast<float>(crop.pixels[k * crop.width * 3 + j]);
    Image image{height, width, std::vector<std::uint8_t>(height * width * 3)};
    for (std::size_t i = 0; i < height; ++i)
        for (std::size_t j = 0; j < width; ++j) {
            std::array<float, 3> sum{};
            for (std::size_t k = 0; k < crop.width; ++k)
                for (std::size_t c = 0; c < 3; ++c)
                    sum[c] += across[j * crop.width + k] * rows[(i * crop.width + k) * 3 + c];
            for (std::size_t c = 0; c < 3; ++c) {
                const float value = std::clamp(std::nearbyint(sum[c]), 0.0F, 255.0F);
                image.pixels[(i * width + j) * 3 + c] = static_cast<std::uint8_t>(value);
            }
        }
    return image;
}

// ---- embedding -------------------------------------------------------------------------------------------------

class Embedder {
public:
    explicit Embedder(const std::string& path) : session_(open(path)) {
        const auto size = entry("size");
        char* cross = nullptr;
        height_ = std::strtoul(size.c_str(), &cross, 10);
        width_ = *cross == 'x' ? std::strtoul(cross + 1, nullptr, 10) : 0;
        const auto taken = session_.GetInputTypeInfo(0);
        const auto tensor = taken.GetTensorTypeAndShapeInfo();
        if (height_ == 0 || width_ == 0 || tensor.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8)
            throw std::runtime_error(path + ": no embedder of reidtrack; make one with `reidtrack export`");
        batch_ = static_cast<std::size_t>(std::max<std::int64_t>(tensor.GetShape()[0], 0));
        bgr_ = entry("colour") == "bgr";
    }

    // Unit vectors, in order.
    std::vector<std::vector<float>> operator()(const std::vector<Image>& crops) {
        const auto step = batch_ == 0 ? crops.size() : batch_;
        std::vector<std::vector<float>> vectors;
        for (std::size_t start = 0; start < crops.size(); start += step)
            run(crops, start, step, vectors);
        return vectors;
    }

    Curve curve() { return read_curve(entry("calibration")); }

private:
    Ort::Session open(const std::string& path) {
        Ort::SessionOptions options;
        options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);  // what fails is told once, by the exception
#ifdef _WIN32
        return Ort::Session(env_, std::wstring(path.begin(), path.end()).c_str(), options);
#else
        return Ort::Session(env_, path.c_str(), options);
#endif
    }

    std::string entry(const std::string& name) {
        Ort::AllocatorWithDefaultOptions allocator;
        const auto metadata = session_.GetModelMetadata();
        const auto value = metadata.LookupCustomMetadataMapAllocated(("reidtrack." + name).c_str(), allocator);
        return value ? value.get() : "";
    }

    // Embeds crops from `start` on, `step` at a time; where there are fewer, black ones fill up.
    void run(const std::vector<Image>& crops, std::size_t start, std::size_t step,
             std::vector<std::vector<float>>& vectors) {
        const auto count = std::min(step, crops.size() - start), bytes = height_ * width_ * 3;
        std::vector<std::uint8_t> pixels(step * bytes);
        for (std::size_t i = 0; i < count; ++i) {
            auto image = resized(crops[start + i], height_, width_);
            if (bgr_)
                for (std::size_t at = 0; at < bytes; at += 3) std::swap(image.pixels[at], image.pixels[at + 2]);
            std::copy(image.pixels.begin(), image.pixels.end(), pixels.data() + i * bytes);
        }
        const std::array<std::int64_t, 4> shape{static_cast<std::int64_t>(step), static_cast<std::int64_t>(height_),
                                                static_cast<std::int64_t>(width_), 3};
        const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        const auto input = Ort::Value::CreateTensor<std::uint8_t>(memory, pixels.data(), pixels.size(), shape.data(),
                                                                  shape.size());
        const char *taken = "crops", *given = "vectors";
        const auto outputs = session_.Run(Ort::RunOptions{nullptr}, &taken, &input, 1, &given, 1);
        const auto dim = static_cast<std::size_t>(outputs[0].GetTensorTypeAndShapeInfo().GetShape()[1]);
        const auto* values = outputs[0].GetTensorData<float>();
        for (std::size_t i = 0; i < count; ++i) vectors.emplace_back(values + i * dim, values + (i + 1) * dim);
    }

    Ort::Env env_{ORT_LOGGING_LEVEL_FATAL, "compare"};
    Ort::Session session_;
    std::size_t height_ = 0, width_ = 0, batch_ = 0;
    bool bgr_ = false;
};

int compare(int count, char** words) {
    if (count != 4 && count != 5) throw std::runtime_error("usage: compare MODEL.onnx A.ppm B.ppm [FALSE_MATCH_RATE]");
    if (OrtGetApiBase()->GetApi(ORT_API_VERSION) == nullptr)
        throw std::runtime_error(std::string("built for a later ONNX Runtime than ") +
                                 OrtGetApiBase()->GetVersionString());
    const double rate = count == 5 ? std::strtod(words[4], nullptr) : 0.001;
    Embedder embedder(words[1]);
    const auto vectors = embedder({read_ppm(words[2]), read_ppm(words[3])});
    const double similarity = std::inner_product(vectors[0].begin(), vectors[0].end(), vectors[1].begin(), 0.0);
    const auto curve = embedder.curve();
    const auto point = std::find_if(curve.points.begin(), curve.points.end(),
                                    [&](const auto& one) { return std::abs(one[0] - rate) <= 1e-9 * rate; });
    if (point == curve.points.end()) throw std::runtime_error("no threshold is known for this false-match rate");
    const double threshold = (*point)[1];
    std::printf("similarity %.6f\n", similarity);
    std::printf("threshold %.4f at %g false matches\n", threshold, rate);
    std::puts(similarity >= threshold ? "same person" : "different people");
    std::printf("probability %.6f\n", 1 / (1 + std::exp(-(curve.slope * similarity + curve.intercept))));
    return 0;
}

}  // namespace

int main(int count, char** words) {
    try {
        return compare(count, words);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
